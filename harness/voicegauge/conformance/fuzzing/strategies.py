"""Makes Hypothesis strategies from a schema, for values that fit it and for values that just break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from voicegauge.conformance.cases import BoundaryValue, list_boundary_values
from voicegauge.contract import Contract, Schemas

MAX_RANDOM_TEXT_CHARACTERS = 300
"""Number of characters in the longest random text. Planned cases try longer texts, which would slow the search down."""
MAX_RANDOM_LIST_ITEMS = 4
"""Number of items in the longest random list. Longer lists would slow the search down."""
MAX_RANDOM_NUMBER = 10**9
"""The largest random integer that is sent as an invalid value. It is exact as a float, and fits into 32 bits."""
_TYPEABLE_CHARACTER_STRATEGY = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co"))
"""Characters that a person can type: no control characters, surrogates, private or unassigned code points."""
_WORD_STRATEGY = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
_STRATEGY_BY_FORMAT_KEYWORD: dict[str, st.SearchStrategy[Any]] = {
    "uri": st.from_regex(r"https://[a-z]{1,12}\.example/[a-z0-9]{1,12}\.wav", fullmatch=True),
    "date-time": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    "date": st.dates().map(str),
    "uuid": st.uuids().map(str),
    "email": st.from_regex(r"[a-z]{1,12}@[a-z]{1,12}\.example", fullmatch=True),
}


def build_valid_value_strategy(schemas: Schemas, schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of values that fit those keywords of `schema` that are common in speech APIs.

    These keywords are lengths, patterns, enums, formats, bounds, lists, objects, `oneOf` and `anyOf`. A value may break
    another keyword, so the caller must validate the values against the schema.
    """
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return st.none()
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for keyword in ("oneOf", "anyOf"):
        if schema.get(keyword) and "properties" not in schema:
            return st.one_of(*(build_valid_value_strategy(schemas, branch) for branch in schema[keyword]))
    types = schema.get("type", "object" if "properties" in schema else "string")
    json_types = [types] if isinstance(types, str) else types
    return st.one_of(*(_build_strategy_for_type(schemas, schema, json_type) for json_type in json_types))


def _build_strategy_for_type(schemas: Schemas, schema: dict[str, Any], json_type: str) -> st.SearchStrategy[Any]:
    if json_type == "string":
        return _build_text_strategy(schema)
    if json_type == "integer":
        return st.integers(*_read_integer_bounds(schema))
    if json_type == "number":
        return _build_number_strategy(schema)
    if json_type == "boolean":
        return st.booleans()
    if json_type == "array":
        longest = min(
            schema.get("maxItems", MAX_RANDOM_LIST_ITEMS), max(MAX_RANDOM_LIST_ITEMS, schema.get("minItems", 0))
        )
        items = build_valid_value_strategy(schemas, schema.get("items", {}))
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=longest)
    return _build_object_strategy(schemas, schema) if json_type == "object" else st.none()


def _build_text_strategy(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") in _STRATEGY_BY_FORMAT_KEYWORD:
        return _STRATEGY_BY_FORMAT_KEYWORD[schema["format"]]
    low = schema.get("minLength", 0)
    high = max(low, min(schema.get("maxLength", MAX_RANDOM_TEXT_CHARACTERS), MAX_RANDOM_TEXT_CHARACTERS))
    if "pattern" in schema:
        matching = st.from_regex(schema["pattern"], alphabet=_TYPEABLE_CHARACTER_STRATEGY)
        return matching.filter(lambda text: low <= len(text) <= schema.get("maxLength", len(text)))
    return st.text(_TYPEABLE_CHARACTER_STRATEGY, min_size=low, max_size=high)


def _read_integer_bounds(schema: dict[str, Any]) -> tuple[int | None, int | None]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - 1
    return (None if low is None else int(low)), (None if high is None else int(high))


def _build_number_strategy(schema: dict[str, Any]) -> st.SearchStrategy[float]:
    return st.floats(
        min_value=schema.get("minimum", schema.get("exclusiveMinimum")),
        max_value=schema.get("maximum", schema.get("exclusiveMaximum")),
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
        width=32 if "minimum" not in schema and "maximum" not in schema else 64,
    )


def _build_object_strategy(schemas: Schemas, schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties = {
        name: build_valid_value_strategy(schemas, inner) for name, inner in schema.get("properties", {}).items()
    }
    required = [name for name in schema.get("required", ()) if name in properties]
    draw_object = build_object_draw_function({name: properties.pop(name) for name in required}, properties)
    return st.composite(draw_object)()


def build_object_draw_function(
    required_fields: Mapping[str, st.SearchStrategy[Any]], optional_fields: Mapping[str, st.SearchStrategy[Any]]
) -> Callable[[st.DrawFn], dict[str, Any]]:
    """Return a function that draws objects with all `required_fields` and any of the `optional_fields`.

    The objects shrink towards having no optional fields. Unlike `fixed_dictionaries`, the function chooses the fields
    with a single integer and draws within the calling strategy, which halves the time that Hypothesis takes.
    """
    choices = st.integers(0, 2 ** len(optional_fields) - 1)

    def draw_object(draw: st.DrawFn) -> dict[str, Any]:
        chosen = draw(choices)
        names = [name for index, name in enumerate(optional_fields) if chosen >> index & 1]
        fields = {**required_fields, **{name: optional_fields[name] for name in names}}
        return {name: draw(values) for name, values in fields.items()}

    return draw_object


def build_invalid_value_strategy(
    contract: Contract, schema: Any, schema_pointer: str
) -> st.SearchStrategy[BoundaryValue]:
    """Return a strategy of values that make a valid body invalid, because they break a keyword of the schema.

    The keyword `format`, which is an annotation, and keywords that no normative document states are not broken.

    Each value is drawn in one step. With nested strategies, Hypothesis would try to replace parts of an example by
    other parts from the same strategy, which never helps here.
    """
    planned = [
        boundary_value
        for boundary_value in list_boundary_values(contract.schemas, schema, schema_pointer)
        if boundary_value.body_path and not boundary_value.is_valid and boundary_value.keyword != "format"
        if contract.has_normative_source(boundary_value.keyword_pointer)
    ]
    if not planned:
        return st.nothing()
    beyond = [_build_strategy_beyond_boundary(boundary_value) for boundary_value in planned]
    indexes = st.integers(0, len(planned) - 1)

    @st.composite
    def draw_value(draw: st.DrawFn) -> BoundaryValue:
        index = draw(indexes)
        boundary_value, others = planned[index], beyond[index]
        if others is None:
            return boundary_value
        value = draw(others)
        description = f"{boundary_value.body_path[-1]} {value!r:.60}, past {boundary_value.keyword}"
        return boundary_value._replace(value=value, description=description)

    return draw_value()


def _build_strategy_beyond_boundary(boundary_value: BoundaryValue) -> st.SearchStrategy[Any] | None:
    """Return a strategy of values that break the same keyword as `boundary_value`, which is invalid.

    Return `None` if no other value is certain to break the keyword.
    """
    if boundary_value.keyword in ("minimum", "exclusiveMinimum"):
        return st.integers(max_value=int(boundary_value.value), min_value=-MAX_RANDOM_NUMBER)
    if boundary_value.keyword in ("maximum", "exclusiveMaximum"):
        return st.integers(min_value=int(boundary_value.value) + 1, max_value=MAX_RANDOM_NUMBER)
    if boundary_value.keyword == "enum":
        return _WORD_STRATEGY if isinstance(boundary_value.value, str) else None
    if boundary_value.keyword == "maxLength":
        return st.integers(len(boundary_value.value), len(boundary_value.value) + 50).map(lambda n: "a" * n)
    return _build_strategy_for_type_of(boundary_value.value) if boundary_value.keyword == "type" else None


def _build_strategy_for_type_of(value: Any) -> st.SearchStrategy[Any] | None:
    """Return a strategy of texts or integers, whichever type `value` has; `None` if it has another type.

    The caller uses it where the schema allows no value of this type.
    """
    if isinstance(value, str):
        return _WORD_STRATEGY.map(
            lambda word: f"x{word}"
        )  # never a number for a lenient parser, as "nan" and "inf" are
    return st.integers(-MAX_RANDOM_NUMBER, MAX_RANDOM_NUMBER) if type(value) is int else None
