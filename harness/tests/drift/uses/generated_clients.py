"""Pairs of documents with one edit, a client of the older one, and whether a simulation shows that the client breaks.

The simulation does not know the rules of drift: it validates the requests that the client sends against the newer
document, and reads from responses that the newer document allows what the client reads.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import jsonschema
import yaml

Json = Any
TEXT, SHORT = {"type": "string", "maxLength": 20}, {"type": "string", "maxLength": 5}
NUMBER, LOW = {"type": "integer", "maximum": 9}, {"type": "integer", "maximum": 5}
ENUM, ENUM_LESS = {"type": "string", "enum": ["a", "b", "c"]}, {"type": "string", "enum": ["a", "b"]}
LEAVES = (TEXT, NUMBER, ENUM)
VALUES: list[Json] = ["a", "b", "c", "abcdefgh", 1, 9, True, None]
"""Values of which those that a schema allows are sent and received."""


class Message(NamedTuple):
    """The object that is sent or received."""

    schema: dict[str, Json]


class Client(NamedTuple):
    """What a client of POST /speak does."""

    sends: list[tuple[str, ...]]
    """Paths of the fields that each of its requests has."""
    sends_query: list[str]
    reads: list[tuple[str, ...]]
    calls: str
    """The operation that it calls."""


class GeneratedPair(NamedTuple):
    """One pair, and the truth about the client."""

    edit: str
    old: dict[str, Json]
    new: dict[str, Json]
    client: Client
    breaks: bool


def build_object(random: Random, depth: int = 0) -> dict[str, Json]:
    """Return a random object schema that allows no other properties."""
    properties: dict[str, Json] = {}
    for index in range(random.randint(3, 5)):
        nested = depth == 0 and random.random() < 0.3
        properties[f"f{index}"] = build_object(random, 1) if nested else copy.deepcopy(random.choice(LEAVES))
    required = [name for name in properties if random.random() < 0.4]
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}


def build_document(random: Random) -> dict[str, Json]:
    """Return a random document with two operations."""
    operation = {
        "operationId": "speak",
        "parameters": [
            {"in": "query", "name": name, "required": name == "q0", "schema": copy.deepcopy(TEXT)}
            for name in ("q0", "q1")
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": build_object(random)}}},
        "responses": {"200": {"description": "A", "content": {"application/json": {"schema": build_object(random)}}}},
    }
    other = copy.deepcopy(operation) | {"operationId": "translate"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Acme", "version": "1"},
        "servers": [{"url": "https://api.acme.test/v1"}],
        "paths": {"/speak": {"post": operation}, "/translate": {"post": other}},
    }


def iterate_paths(schema: Json, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all leaves."""
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from iterate_paths(inner, (*prefix, name))
        else:
            yield (*prefix, name)


def find_parent(schema: Json, path: tuple[str, ...]) -> Json:
    """Return the object schema that has the last field of `path`."""
    for name in path[:-1]:
        schema = schema["properties"][name]
    return schema


def message_of(document: Json, side: str) -> Json:
    """Return the schema of the request or the response of POST /speak."""
    operation = document["paths"]["/speak"]["post"]
    part = operation["requestBody"] if side == "request" else operation["responses"]["200"]
    return part["content"]["application/json"]["schema"]


def _change(replacement: Json) -> Callable[[Json, str], None]:
    def edit(parent: Json, name: str) -> None:
        parent["properties"][name] = replacement

    return edit


def _remove(parent: Json, name: str) -> None:
    del parent["properties"][name]
    parent["required"] = [other for other in parent["required"] if other != name]


def _require(parent: Json, name: str) -> None:
    parent["required"] = sorted({*parent["required"], name})


def _free(parent: Json, name: str) -> None:
    parent["required"] = [other for other in parent["required"] if other != name]


def _add_required(parent: Json, _name: str) -> None:
    parent["properties"]["added"] = TEXT
    parent["required"] = [*parent["required"], "added"]


def _narrow(parent: Json, name: str) -> None:
    old = parent["properties"][name]
    parent["properties"][name] = {json.dumps(TEXT): SHORT, json.dumps(NUMBER): LOW}.get(json.dumps(old), ENUM_LESS)


def _widen(parent: Json, name: str) -> None:
    old = parent["properties"][name]
    parent["properties"][name] = {"type": [old["type"], "null"]}


FIELD_EDITS: dict[str, tuple[str, Callable[[Json, str], None]]] = {
    "remove": ("request", _remove),
    "retype": ("request", _change({"type": "boolean"})),
    "narrow": ("request", _narrow),
    "require": ("request", _require),
    "add required": ("request", _add_required),
    "remove read": ("response", _remove),
    "retype read": ("response", _change({"type": "boolean"})),
    "widen read": ("response", _widen),
    "make optional": ("response", _free),
}


def generate_pair(random: Random) -> GeneratedPair:
    """Return a random document, one edit of it, and a client."""
    old = build_document(random)
    client = _build_client(random, old)
    new = copy.deepcopy(old)
    edit = random.choice([*FIELD_EDITS, "remove operation", "remove query", "require query", "narrow query"])
    operation = new["paths"]["/speak"]["post"]
    if edit in FIELD_EDITS:
        side, change = FIELD_EDITS[edit]
        path = random.choice(list(iterate_paths(message_of(new, side))))
        change(find_parent(message_of(new, side), path), path[-1])
    elif edit == "remove operation":
        del new["paths"]["/speak"]
    elif edit == "remove query":
        del operation["parameters"][1]
    elif edit == "require query":
        operation["parameters"][1]["required"] = True
    else:
        operation["parameters"][random.randint(0, 1)]["schema"] = SHORT
    return GeneratedPair(edit, old, new, client, client.calls == "speak" and _breaks(old, new, client))


def _build_client(random: Random, document: Json) -> Client:
    request, response = message_of(document, "request"), message_of(document, "response")
    sends = []
    kept = {name for name in request["properties"] if name in request["required"] or random.random() < 0.5}
    for path in iterate_paths(request):
        parent = find_parent(request, path)
        if path[0] in kept and (path[-1] in parent["required"] or random.random() < 0.5):
            sends.append(path)
    reads = [path for path in iterate_paths(response) if random.random() < 0.5]
    query = ["q0", *(["q1"] if random.random() < 0.5 else [])]
    return Client(sends, query, reads, "speak" if random.random() < 0.85 else "translate")


def build_bodies(document: Json, client: Client) -> list[Json]:
    """Return requests of the client: for each field that it sends, each value that the older document allows."""
    schema = message_of(document, "request")
    choices = {path: _allowed(find_parent(schema, path)["properties"][path[-1]]) for path in client.sends}
    bodies = []
    for round_number in range(max(map(len, choices.values()), default=1)):
        body: Json = {}
        for path, values in choices.items():
            parent = body
            for name in path[:-1]:
                parent = parent.setdefault(name, {})
            parent[path[-1]] = values[round_number % len(values)]
        bodies.append(body)
    return bodies


def _allowed(schema: Json) -> list[Json]:
    return [value for value in VALUES if _is_valid(value, schema)]


def _is_valid(value: Json, schema: Json) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def _breaks(old: Json, new: Json, client: Client) -> bool:
    if "/speak" not in new["paths"]:
        return True
    return _is_request_rejected(old, new, client) or _is_response_unreadable(old, new, client)


def _is_request_rejected(old: Json, new: Json, client: Client) -> bool:
    parameters = {one["name"]: one for one in new["paths"]["/speak"]["post"]["parameters"]}
    if any(one["required"] and name not in client.sends_query for name, one in parameters.items()):
        return True
    for name in client.sends_query:
        if name not in parameters or not all(_is_valid(value, parameters[name]["schema"]) for value in _allowed(TEXT)):
            return True
    return not all(_is_valid(body, message_of(new, "request")) for body in build_bodies(old, client))


def _is_response_unreadable(old: Json, new: Json, client: Client) -> bool:
    before, after = message_of(old, "response"), message_of(new, "response")
    for path in client.reads:
        old_parent, new_parent = find_parent(before, path), find_parent(after, path)
        name = path[-1]
        if name not in new_parent["properties"]:
            return True
        if name in old_parent["required"] and name not in new_parent["required"]:
            return True
        received = _allowed(new_parent["properties"][name])
        if not all(_is_valid(value, old_parent["properties"][name]) for value in received):
            return True
    return False


def write_uses(pair: GeneratedPair, folder: Path, *, as_recording: bool) -> list[str]:
    """Write what the client uses, and return the arguments for `--uses`."""
    reads = [f"body#/{'/'.join(path)}" for path in pair.client.reads]
    declared: Json = {"reads": reads}
    sources = []
    if as_recording:
        har = folder / "client.har"
        url = (
            f"https://api.acme.test/v1/{pair.client.calls}?{'&'.join(f'{name}=a' for name in pair.client.sends_query)}"
        )
        har.write_text(json.dumps(_build_har(url, build_bodies(pair.old, pair.client))))
        sources.append(str(har))
    else:
        sent = [f"body#/{'/'.join(path)}" for path in pair.client.sends]
        declared["sends"] = [*sent, *(f"query.{name}" for name in pair.client.sends_query)]
    uses = folder / "uses.yaml"
    uses.write_text(yaml.safe_dump({"operations": {pair.client.calls: declared}}))
    return [*sources, str(uses)]


def _build_har(url: str, bodies: list[Json]) -> Json:
    entries = [
        {
            "request": {
                "method": "POST",
                "url": url,
                "headers": [{"name": "Content-Type", "value": "application/json"}],
                "postData": {"mimeType": "application/json", "text": json.dumps(body)},
            },
            "response": {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{}"}},
        }
        for body in bodies
    ]
    return {"log": {"version": "1.2", "creator": {"name": "browser"}, "entries": entries}}
