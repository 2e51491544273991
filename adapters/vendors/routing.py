"""From an address and a maker's name to the one interface that is asked: never more than one, each port once."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from adapters.errors import BadTarget
from adapters.target import Target
from adapters.vendors.families import Family, find_family
from adapters.vendors.templates import Template, reported_template, template_for, templates


@dataclass(frozen=True, slots=True)
class Route:
    """Where the probe goes. `template` is the one that made the address, None where none was needed."""

    target: Target
    sub: Target | None = None
    family: Family | None = None
    template: Template | None = None


def known_vendor(vendor: str) -> str:
    """Return the maker's name as the tables know it (a family's or a template's id).

    Raises:
        BadTarget: the tables do not know it.
    """
    family = find_family(vendor)
    if family is not None:
        return family.id
    if templates().by_id(vendor.strip().lower()) is not None:
        return vendor.strip().lower()
    raise BadTarget(
        f"the maker {vendor.strip()[:60]!r} is not in the table of makers",
        hint="`camhub adapters` lists the makers; without a maker the address alone is used",
    )


def route(typed: str, target: Target, vendor: str) -> Route:
    """Return where to go for an address as it was typed (`target` is the same, taken apart) and a maker.

    A whole address goes as it is: whoever typed it knows better than a table. A bare host goes to the port of the
    maker's table, ``rtsp://host`` without a path to the maker's one template.

    Raises:
        BadTarget: the maker is not known, or the hub has no route to its cameras; nothing was sent.
    """
    if not vendor.strip():
        return Route(target)
    known = known_vendor(vendor)
    family = find_family(known) or find_family(_template_family(known))
    scheme_typed, port_typed = _typed(typed)
    if target.scheme.startswith("rtsp"):
        if target.path not in {"", "/"}:
            return Route(target, family=family)
        return _by_template(target, known, family, port_typed)
    if scheme_typed or family is None:
        return Route(target, family=family)
    if family.route == "refuse":
        raise BadTarget(family.why.en, peer=target.host, hint=family.advice.en)
    if family.route == "rtsp":
        return _by_template(replace(target, scheme="rtsp"), known, family, port_typed)
    if "onvif" not in family.ports and family.adapter in family.ports:
        port = target.port if port_typed else family.ports[family.adapter]
        return Route(replace(target, scheme=family.adapter, port=port), family=family)
    port = target.port if port_typed else family.ports.get("onvif", target.port)
    return Route(replace(target, port=port), family=family)


def _by_template(target: Target, vendor: str, family: Family | None, port_typed: bool) -> Route:
    template = template_for(vendor)
    keep = port_typed or target.scheme != "rtsp"  # RTSPS and tunnels have ports of their own
    made = template.addresses(target.host, port=target.port if keep else None)
    sub = replace(made.sub, scheme=target.scheme) if made.sub is not None else None
    return Route(replace(made.main, scheme=target.scheme), sub, family, template)


def without_address(host: str, vendor: str, reported: str) -> Route | None:
    """Return the stream's address by template for a device whose interfaces told none, or None: then ask.

    `vendor` is the maker that the owner named, `reported` what the device says; the owner's word counts.
    """
    if vendor.strip():
        try:
            template: Template | None = template_for(vendor)
        except BadTarget:
            return None
    else:
        template = reported_template(reported)
    if template is None:
        return None
    made = template.addresses(host)
    return Route(made.main, made.sub, find_family(template.family), template)


def _template_family(template_id: str) -> str:
    template = templates().by_id(template_id)
    return template.family if template is not None else ""


def _typed(text: str) -> tuple[bool, bool]:
    """Tell whether scheme and port were typed."""
    whole = text.strip()
    scheme = "://" in whole
    try:
        port = urlsplit(whole if scheme else f"onvif://{whole}").port
    except ValueError:
        port = None
    return scheme, port is not None
