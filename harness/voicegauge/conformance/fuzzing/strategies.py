"""Hypothesis strategies from a schema: values inside it, and requests just outside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from voicegauge.conformance.cases import BoundaryValue, list_boundary_values
from voicegauge.contract import Schemas

MAX_TEXT = 300
"""Characters: longer texts are tried by the planned cases; here they would only slow the search."""
MAX_ITEMS = 4
_ANY_TEXT = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co"))
"""What a person could type: no control characters, no private or unassigned code points."""
_WORDS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
_BY_FORMAT: dict[str, st.SearchStrategy[Any]] = {
    "uri": st.from_regex(r"https://[a-z]{1,12}\.example/[a-z0-9]{1,12}\.wav", fullmatch=True),
    "date-time": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    "date": st.dates().map(str),
    "uuid": st.uuids().map(str),
    "email": st.from_regex(r"[a-z]{1,12}@[a-z]{1,12}\.example", fullmatch=True),
}


def inside(schemas: Schemas, schema: Any) -> st.SearchStrategy[Any]:
    """Values that fit `schema`, as far as its keywords are among those that speech APIs use.

    Lengths, patterns, enumerations, formats, bounds, lists, objects, `oneOf`, `anyOf`
    and `allOf` of objects are read; whoever draws filters by the schema itself for the rest.
    """
    schema, _ = schemas.resolve(schema)
    if not isinstance(schema, dict):
        return st.none()
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for keyword in ("oneOf", "anyOf"):
        if schema.get(keyword) and "properties" not in schema:
            return st.one_of(*(inside(schemas, branch) for branch in schema[keyword]))
    types = schema.get("type", "object" if "properties" in schema else "string")
    kinds = [types] if isinstance(types, str) else types
    return st.one_of(*(_of_type(schemas, schema, kind) for kind in kinds))


def _of_type(schemas: Schemas, schema: dict[str, Any], kind: str) -> st.SearchStrategy[Any]:
    if kind == "string":
        return _texts(schema)
    if kind == "integer":
        return st.integers(*_whole_bounds(schema))
    if kind == "number":
        return _numbers(schema)
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        most = min(schema.get("maxItems", MAX_ITEMS), max(MAX_ITEMS, schema.get("minItems", 0)))
        items = inside(schemas, schema.get("items", {}))
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=most)
    return _objects(schemas, schema) if kind == "object" else st.none()


def _texts(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    low = schema.get("minLength", 0)
    high = max(low, min(schema.get("maxLength", MAX_TEXT), MAX_TEXT))
    if "pattern" in schema:
        matching = st.from_regex(schema["pattern"], alphabet=_ANY_TEXT)
        return matching.filter(lambda text: low <= len(text) <= schema.get("maxLength", len(text)))
    return st.text(_ANY_TEXT, min_size=low, max_size=high)


def _whole_bounds(schema: dict[str, Any]) -> tuple[int | None, int | None]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - 1
    return (None if low is None else int(low)), (None if high is None else int(high))


def _numbers(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    return st.floats(
        min_value=schema.get("minimum", schema.get("exclusiveMinimum")),
        max_value=schema.get("maximum", schema.get("exclusiveMaximum")),
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
        width=32 if "minimum" not in schema and "maximum" not in schema else 64,
    )


def _objects(schemas: Schemas, schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties = {name: inside(schemas, inner) for name, inner in schema.get("properties", {}).items()}
    needed = [name for name in schema.get("required", ()) if name in properties]
    drawn = fields({name: properties.pop(name) for name in needed}, properties)
    return st.composite(drawn)()


def fields(
    needed: Mapping[str, st.SearchStrategy[Any]], free: Mapping[str, st.SearchStrategy[Any]]
) -> Callable[[st.DrawFn], dict[str, Any]]:
    """Draws objects with every `needed` field and any of the `free` ones; the smallest has none of those.

    As `fixed_dictionaries`, but which fields there are is one choice instead of several for each,
    and it is drawn within the strategy that asks: Hypothesis draws them in half of the time.
    """
    which = st.integers(0, 2 ** len(free) - 1)

    def drawn(draw: st.DrawFn) -> dict[str, Any]:
        chosen = draw(which)
        some = [name for index, name in enumerate(free) if chosen >> index & 1]
        return {name: draw(found) for name, found in (*needed.items(), *((name, free[name]) for name in some))}

    return drawn


def outside(schemas: Schemas, schema: Any, pointer: str) -> st.SearchStrategy[BoundaryValue]:
    """One thing to break in a valid body: a planned probe, or a random value past the same bound.

    It is drawn in one step: Hypothesis copies parts that look alike over each other, and
    strategies within strategies look alike, though nothing new comes of it here.
    """
    planned = [probe for probe in list_boundary_values(schemas, schema, pointer) if probe.path and not probe.valid]
    if not planned:
        return st.nothing()
    values = [_past(probe) for probe in planned]
    which = st.integers(0, len(planned) - 1)

    @st.composite
    def made(draw: st.DrawFn) -> BoundaryValue:
        chosen = draw(which)
        probe, others = planned[chosen], values[chosen]
        if others is None:
            return probe
        value, keyword = draw(others), probe.at.rpartition("/")[2]
        return probe._replace(value=value, description=f"{probe.path[-1]} {value!r:.60}, past {keyword}")

    return made()


def _past(probe: BoundaryValue) -> st.SearchStrategy[Any] | None:
    """Other values that break what `probe` breaks; `None` where it has the only one that is certain to."""
    keyword = probe.at.rpartition("/")[2]
    if keyword in ("minimum", "exclusiveMinimum"):
        return st.integers(max_value=int(probe.value), min_value=-(10**9))
    if keyword in ("maximum", "exclusiveMaximum"):
        return st.integers(min_value=int(probe.value) + 1, max_value=10**9)
    if keyword == "enum":
        return _WORDS if isinstance(probe.value, str) else None
    if keyword == "maxLength":
        return st.integers(len(probe.value), len(probe.value) + 50).map(lambda n: "a" * n)
    return _of_wrong_type(probe.value) if keyword == "type" else None


def _of_wrong_type(value: Any) -> st.SearchStrategy[Any] | None:
    """Values of the same type as `value`, which is a wrong one."""
    if isinstance(value, str):
        return _WORDS.map(lambda word: f"x{word}")  # which nobody reads as a number, as "nan" would be
    return st.integers(-(10**9), 10**9) if type(value) is int else None
