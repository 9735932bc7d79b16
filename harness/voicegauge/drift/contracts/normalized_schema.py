"""One schema as keywords with their places, and how two that both apply become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json
from voicegauge.formats import MISSING

AppliedSchemas = tuple[DocumentNode, ...]
"""A schema: parts of a document that all apply. None of them means that anything fits."""

UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose value is a list of schemas."""
MAPPINGS = ("properties", "patternProperties", "dependentSchemas")
"""Keywords whose value is a mapping from names to schemas."""
BELOW = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)
"""Keywords whose value is a schema."""
WORDS = (
    *UPPER,
    *LOWER,
    *("type", "format", "enum", "const", "pattern", "multipleOf", "uniqueItems", "default", "required"),
    *("readOnly", "writeOnly", "deprecated", "discriminator", "dependentRequired", "contentMediaType"),
    *("contentEncoding", "nullable", "x-advice"),
)
"""Keywords whose value is plain data."""
_SAYS_NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("minLength", "minItems", "minProperties"), 0),
    "minContains": 1,
    **dict.fromkeys(("uniqueItems", "readOnly", "writeOnly", "deprecated", "nullable"), False),
    "required": [],
    "enum": [],
    "x-advice": {},
}
AROUND = ("additionalProperties", "unevaluatedProperties", "unevaluatedItems")
"""Keywords below that mean another thing once others stand beside them."""
TOGETHER = ("if", "then", "else", "not", "contains", "minContains", "maxContains")
"""Keywords that several parts may each have, to be kept apart: they mean something with one another."""
_NUMBERS = (*UPPER, *LOWER, "multipleOf")
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(_NUMBERS, int | float),
    **dict.fromkeys(("enum", "required"), list),
    "type": str | list,
    "discriminator": dict,
    "pattern": str,
}
"""What a keyword takes; anything else makes no sense and is left out."""
TITLES = ("readOnly", "writeOnly", "deprecated", "default", "x-advice")
"""Keywords that say something of a property rather than of its values: the outer one wins."""


@dataclass(frozen=True)
class NormalizedSchema:
    """A schema, its keywords by the kind of their value."""

    place: DocumentNode
    """The part whose line stands for the whole."""
    words: Mapping[str, DocumentNode] = field(default_factory=dict)
    lists: Mapping[str, tuple[AppliedSchemas, ...]] = field(default_factory=dict)
    mappings: Mapping[str, Mapping[str, AppliedSchemas]] = field(default_factory=dict)
    below: Mapping[str, AppliedSchemas] = field(default_factory=dict)
    null: bool | None = None
    """Whether null fits, where `nullable` or the branches of the schema settle it."""

    def word(self, key: str) -> DocumentNode:
        """The keyword `key`; missing where it says nothing."""
        return self.words.get(key) or DocumentNode(self.place.document, f"{self.place.pointer}/{key}", MISSING)

    @property
    def properties(self) -> Mapping[str, AppliedSchemas]:
        """The listed properties."""
        return self.mappings.get("properties", {})

    @property
    def types(self) -> frozenset[str] | None:
        """The types besides null; `None` where any will do."""
        stated = self.words.get("type")
        return None if stated is None else frozenset(type_names(stated.value)) - {"null"}

    @property
    def values(self) -> list[Any] | None:
        """The values that are listed one by one, a `const` among them; `None` where none are."""
        if "const" in self.words:
            return [self.words["const"].value]
        enum = self.words.get("enum")
        return None if enum is None else list(enum.value)

    @property
    def takes_null(self) -> bool | None:
        """Whether null fits; `None` where the schema says nothing of types and values."""
        stated, values = self.types, self.values
        if self.null is not None:
            return self.null
        if stated is None and values is None:
            return None
        return (stated is None or "null" in type_names(self.words["type"].value)) and (values is None or None in values)

    @property
    def required(self) -> list[str]:
        """The properties that must be there, listed or not."""
        stated = self.words.get("required")
        return [] if stated is None else type_names(stated.value)

    def requires(self, name: str) -> bool:
        """Whether the property `name` must be there."""
        return name in self.required

    @property
    def is_mere(self) -> bool:
        """Whether it holds no other schema."""
        return not self.lists and not self.mappings and not self.below

    @property
    def is_bare(self) -> bool:
        """Whether it holds nothing but lists of schemas."""
        return not (self.words.keys() - set(TITLES)) and not self.mappings and not self.below

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return self.is_mere and not self.words


def type_names(value: Any) -> list[str]:
    """The value of `type`, a text or a list of them, as a list."""
    return [value] if isinstance(value, str) else [item for item in value if isinstance(item, str)]


def read_schema(part: DocumentNode) -> NormalizedSchema:
    """The keywords that stand in `part` itself, but for `allOf`, single branches and `$ref`.

    Nothing fits a schema that is `false`.
    """
    if part.value is False:
        return NormalizedSchema(part, below={"not": ()})
    keys = part.value.keys() if isinstance(part.value, dict) else ()
    words = {key: word for key in WORDS if key in keys and (word := _word(part, key)) is not None}
    lists = {
        key: tuple((branch,) for _, branch in part.child(key).children())
        for key in LISTS
        if key in keys and key != "allOf" and isinstance(part.value[key], list) and not is_single(part, key)
    }
    mappings = {
        key: {name: (child,) for name, child in part.child(key).children()}
        for key in MAPPINGS
        if key in keys and isinstance(part.value[key], dict)
    }
    below = {key: (part.child(key),) for key in BELOW if key in keys and part.value[key] not in (True, {})}
    return NormalizedSchema(
        part, words, {k: v for k, v in lists.items() if v}, {k: v for k, v in mappings.items() if v}, below
    )


def is_single(part: DocumentNode, key: str) -> bool:
    """Whether `key` is an `anyOf` or `oneOf` of one branch, which must fit then."""
    value = part.get(key)
    return key in ("anyOf", "oneOf") and isinstance(value, list) and len(value) == 1


def _word(part: DocumentNode, key: str) -> DocumentNode | None:
    """A keyword as 3.1 writes it; `None` where it is missing, says nothing or makes no sense."""
    word = part.child(key)
    value = word.value
    if key in ("exclusiveMaximum", "exclusiveMinimum") and isinstance(value, bool):
        bound = part.child("maximum" if key == "exclusiveMaximum" else "minimum")
        return replace(word, value=bound.value) if value and bound.exists else None
    if key in ("maximum", "minimum") and part.get(f"exclusive{key.capitalize()}") is True:
        return None
    if not word.exists or (key in _SAYS_NOTHING and value == _SAYS_NOTHING[key]):
        return None
    return word if isinstance(value, _KINDS.get(key, object)) and not _is_odd(key, value) else None


def _is_odd(key: str, value: Any) -> bool:
    return key in _NUMBERS and isinstance(value, bool)


def merge_schemas(
    first: NormalizedSchema, second: NormalizedSchema, *, apart: tuple[str, ...] = (*AROUND, *TOGETHER)
) -> NormalizedSchema | None:
    """Both as one; `None` where they touch the same keyword in ways that no keyword can say.

    Args:
        first: the outer one, whose place and titles win.
        second: the other one.
        apart: keywords that stand in the way wherever one of the two has them.
    """
    if first.is_empty:
        return second
    keys = [{*schema.words, *schema.below} for schema in (first, second)]
    if any(key in keys[0] | keys[1] for key in apart) or all(key & set(TOGETHER) for key in keys):
        return None
    shared = (first.lists.keys() & second.lists.keys()) | (first.below.keys() & second.below.keys())
    if shared or any(first.mappings.get(key) and second.mappings.get(key) for key in MAPPINGS[1:]):
        return None
    words = dict(first.words)
    for key, word in second.words.items():
        both = _both(key, words[key], word) if key in words else word
        if both is None:
            return None
        words[key] = both
    properties = dict(first.properties)
    for name, applied in second.properties.items():
        properties[name] = (*properties.get(name, ()), *applied)
    mappings = {**first.mappings, **second.mappings, "properties": properties}
    return NormalizedSchema(
        first.place,
        words,
        {**first.lists, **second.lists},
        {key: value for key, value in mappings.items() if value},
        {**first.below, **second.below},
    )


def _both(key: str, first: DocumentNode, second: DocumentNode) -> DocumentNode | None:
    """The keyword that says what both say; `None` where there is none."""
    old, new = first.value, second.value
    if key in TITLES or canonical_json(old) == canonical_json(new):
        return first
    if key in UPPER or key in LOWER:
        return replace(first, value=min(old, new) if key in UPPER else max(old, new))
    kept: list[Any] = []
    if key == "required":
        kept = [*old, *(name for name in new if name not in old)]
    elif key == "type":
        kept = [name for name in type_names(old) if name in type_names(new)]
    elif key == "enum":
        known = {canonical_json(value) for value in new}
        kept = [value for value in old if canonical_json(value) in known]
    return replace(first, value=kept) if kept else None
