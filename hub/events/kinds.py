"""Topics of camera events as a closed list of kinds. Pure.

ONVIF names topics in a tree (Core 9.6; Imaging, Analytics and Device IO add theirs), makers add branches of their own.
What fits none of the kinds stays ``unknown``, with the raw topic beside it.
"""

import re
from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = "unknown"
KINDS: Final = (
    "motion",
    "tamper",
    "too_dark",
    "too_bright",
    "blurry",
    "scene_changed",
    "line",
    "object",
    "signal_loss",
    "digital_input",
    "storage",
    "hardware",
    UNKNOWN,
)

# the first that is found in the topic without its prefixes, in lower case
_WORDS: Final = (
    (re.compile(r"toodark"), "too_dark"),
    (re.compile(r"toobright"), "too_bright"),
    (re.compile(r"tooblurry|defocus"), "blurry"),
    (re.compile(r"globalscenechange|scenechange"), "scene_changed"),
    (re.compile(r"tamper|videoblind|shelteralarm|occlusion"), "tamper"),
    (re.compile(r"signalloss|videoloss"), "signal_loss"),
    (re.compile(r"storagefailure|recordingjob|/storage|diskfull|diskerror"), "storage"),
    (re.compile(r"hardwarefailure|processorusage|fanfailure|powersupply"), "hardware"),
    (re.compile(r"digitalinput|trigger/relay|alarmin"), "digital_input"),
    (re.compile(r"linedetector|linecross|tripwire|crossline"), "line"),
    (re.compile(r"motion"), "motion"),
    (
        re.compile(r"fielddetector|intrusion|loitering|human|people|face|vehicle|objectdetect|myrule"),
        "object",
    ),
)
# of the data items: which one says whether the matter lasts
_STATES: Final = (
    "state",
    "ismotion",
    "istamper",
    "isinside",
    "logicalstate",
    "failed",
    "active",
    "alarm",
    "value",
)
_TRUE: Final = frozenset({"true", "1", "on", "active", "start"})
_FALSE: Final = frozenset({"false", "0", "off", "inactive", "stop"})


def kind_of(topic: str) -> str:
    """Return the kind of a topic."""
    plain = re.sub(r"[A-Za-z0-9_.-]+:", "", topic).lower()
    return next((kind for pattern, kind in _WORDS if pattern.search(plain)), UNKNOWN)


def active_of(data: Mapping[str, str]) -> bool | None:
    """Return whether the matter begins or lasts (True), ends (False), or is a single happening (None)."""
    lower = {name.lower(): value.strip().lower() for name, value in data.items()}
    told = [lower[name] for name in _STATES if name in lower]
    told += [value for name, value in lower.items() if name.startswith("is") and name not in _STATES]
    for value in told:
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    return None
