"""Stream and still addresses of a camera's last probe, as kept in its stored report. They are never shown."""

from collections.abc import Mapping
from typing import Any

from adapters.target import Target


def target_json(target: Target) -> dict[str, Any]:
    """Return a target as plain values."""
    return {"scheme": target.scheme, "host": target.host, "port": target.port, "path": target.path}


def target_from(told: Mapping[str, Any]) -> Target:
    """Read what `target_json` wrote."""
    return Target(str(told["scheme"]), str(told["host"]), int(told["port"]), str(told["path"]))
