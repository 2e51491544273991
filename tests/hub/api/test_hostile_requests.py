"""Whatever a signed-in person sends: an answer below 500 (or an honest 501-504), as a problem, never a fault of ours."""

import random
import re
from typing import Any

import httpx
import pytest
from running_hub import HubThread

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e308, 2**63, "", " ", "x" * 5000, "\u0000", "\ud7ff", "é\u0301", "../..", "%00", "'; --",
    "<script>", "🎥" * 40, [], {}, [[]], {"a": {"b": []}}, "2026-11-21T10:00:00Z", "2026-13-45", "NaN", "1,2,3", "*",
)  # fmt: skip
QUERY = tuple(value for value in ODD if isinstance(value, (str, int)) and value != "\u0000")


def _resolve(schema: dict[str, Any], node: Any) -> dict[str, Any]:
    """Follow references and pick the object of a union."""
    while isinstance(node, dict) and "$ref" in node:
        node = schema["components"]["schemas"][node["$ref"].rsplit("/", 1)[1]]
    for key in ("oneOf", "anyOf", "allOf"):
        if isinstance(node, dict) and key in node:
            return next((_resolve(schema, one) for one in node[key] if one.get("type") != "null"), {})
    return node if isinstance(node, dict) else {}


def _value(schema: dict[str, Any], node: Any, chance: random.Random, depth: int = 0) -> Any:
    """Make a value that mostly fits, and sometimes does not at all."""
    node = _resolve(schema, node)
    if chance.random() < 0.25 or depth > 5:
        return chance.choice(ODD)
    if "enum" in node:
        return chance.choice(node["enum"])
    match node.get("type"):
        case "object" | None if "properties" in node:
            names = [name for name in node["properties"] if chance.random() < 0.8]
            made = {name: _value(schema, node["properties"][name], chance, depth + 1) for name in names}
            return made | ({"surprise": 1} if chance.random() < 0.1 else {})
        case "array":
            return [
                _value(schema, node.get("items", {}), chance, depth + 1) for _ in range(chance.randint(0, 3))
            ]
        case "integer" | "number":
            return chance.choice([0, 1, 60, -5, 10**12, 2.5])
        case "boolean":
            return chance.choice([True, False])
        case _:
            return chance.choice(["a", "admin", "rtsp://127.0.0.1:9/x", "99001", "18:00", "vi", "Tên"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_breaks_the_hub(hub: HubThread, seed: int) -> None:
    """Four hundred requests over every operation: no 500, each refusal a problem, the hub still ready."""
    admin = hub.login("admin", **{"accept-language": "en"})
    schema = httpx.get(f"{hub.url}/schema").json()
    camera = admin.post(
        "/api/v1/cameras", json={"name": f"Mẫu {seed}", "address": f"rtsp://127.0.0.1:{40 + seed}/x"}
    ).json()["id"]
    chance = random.Random(seed)
    operations = [
        (method, path, told)
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
        if not path.endswith(("/login", "/logout", "/events")) and (method, path) != ("patch", "/api/v1/me")
    ]
    seen: dict[int, int] = {}
    for number in range(400):
        method, path, told = operations[number % len(operations)]
        made = re.sub(
            r"\{[^}]+\}", lambda _: chance.choice([camera, "x", "%2e%2e", "a" * 300, "🎥", "0"]), path
        )
        query = {
            one["name"]: chance.choice(QUERY)
            for one in told.get("parameters", ())
            if one["in"] == "query" and chance.random() < 0.6
        }
        content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
        body = _value(schema, content.get("schema", {}), chance) if content else None
        headers = {"if-match": chance.choice(['"1"', "*", "rubbish"])} if method == "patch" else {}
        if method == "post" and chance.random() < 0.3:
            headers["idempotency-key"] = f"{seed}-{number % 7}"
        answer = admin.request(method, made, params=query, json=body, headers=headers)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code != 500, (method, made, query, body, answer.text)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", (method, made, answer.text)
            told_problem = answer.json()
            assert told_problem["code"] in told_problem["type"]
            assert not re.search(r"\{\w+\}", told_problem["detail"]), told_problem

    assert seen.get(200, 0) > 20, seen
    assert httpx.get(f"{hub.url}/readyz").status_code == 200
    assert admin.get("/api/v1/audit").json()["chain"]["ok"]
