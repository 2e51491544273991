"""The part of NIST's assessment-results model (OSCAL 1.1) that camhub writes, as a closed JSON Schema.

Built by hand from the model reference, because no package carries the schema itself: required fields, datatypes and their
patterns are those of the specification; a field that camhub does not write is refused, so that a typing error shows.
"""

from typing import Any

Schema = dict[str, Any]

# Datatypes of OSCAL: token, string, UUID of version 4 or 5, date-time with time zone, URI and URI reference.
TOKEN: Schema = {"type": "string", "pattern": r"^[^\W\d][\w\-.]*$"}
STRING: Schema = {"type": "string", "pattern": r"^\S(.*\S)?$"}
PROSE: Schema = {"type": "string", "minLength": 1}
UUID: Schema = {
    "type": "string",
    "pattern": "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[45][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$",
}
MOMENT: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-][0-2]\d:[0-5]\d)$",
}
URI: Schema = {"type": "string", "pattern": r"^[a-zA-Z][a-zA-Z0-9+\-.]+:.+$"}
REFERENCE: Schema = {"type": "string", "minLength": 1}


def closed(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these fields and no other."""
    return {
        "type": "object",
        "properties": {**required, **{name.replace("_", "-"): one for name, one in optional.items()}},
        "required": sorted(required),
        "additionalProperties": False,
    }


def some(one: Schema) -> Schema:
    """A list of at least one."""
    return {"type": "array", "minItems": 1, "items": one}


PROPERTY = closed({"name": TOKEN, "value": STRING}, uuid=UUID, ns=URI, remarks=PROSE)
EVIDENCE = closed({"description": PROSE}, href=REFERENCE, props=some(PROPERTY), remarks=PROSE)
OBSERVATION = closed(
    {"uuid": UUID, "description": PROSE, "methods": some({"enum": ["EXAMINE", "INTERVIEW", "TEST"]}), "collected": MOMENT},
    title=PROSE, relevant_evidence=some(EVIDENCE), props=some(PROPERTY), expires=MOMENT, remarks=PROSE,
)  # fmt: skip
STATUS = closed({"state": {"enum": ["satisfied", "not-satisfied"]}}, reason=TOKEN, remarks=PROSE)
TARGET = closed(
    {"type": {"enum": ["statement-id", "objective-id"]}, "target-id": TOKEN, "status": STATUS},
    title=PROSE, description=PROSE, props=some(PROPERTY),
)  # fmt: skip
FINDING = closed(
    {"uuid": UUID, "title": PROSE, "description": PROSE, "target": TARGET},
    props=some(PROPERTY), related_observations=some(closed({"observation-uuid": UUID})), remarks=PROSE,
)  # fmt: skip
SELECTION = closed({}, include_controls=some(closed({"control-id": TOKEN})))
RESULT = closed(
    {"uuid": UUID, "title": PROSE, "description": PROSE, "start": MOMENT,
     "reviewed-controls": closed({"control-selections": some(SELECTION)})},
    end=MOMENT, props=some(PROPERTY), observations=some(OBSERVATION), findings=some(FINDING), remarks=PROSE,
)  # fmt: skip
METADATA = closed(
    {"title": PROSE, "last-modified": MOMENT, "version": STRING, "oscal-version": {"enum": ["1.1.3"]}},
    props=some(PROPERTY), remarks=PROSE,
)  # fmt: skip
RESOURCE = closed({"uuid": UUID}, title=PROSE, description=PROSE, props=some(PROPERTY), remarks=PROSE)
DOCUMENT = closed(
    {
        "assessment-results": closed(
            {"uuid": UUID, "metadata": METADATA, "import-ap": closed({"href": REFERENCE}), "results": some(RESULT)},
            back_matter=closed({}, resources=some(RESOURCE)),
        )
    }
)  # fmt: skip
