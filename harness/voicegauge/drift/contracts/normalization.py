"""Schemas in a normal form, so that two spellings of one schema are one.

References are followed, an `allOf` is laid together where its parts do not touch the
same keyword, an `anyOf` of a schema and null is a nullable schema, OpenAPI 3.0's
`nullable` and boolean `exclusiveMinimum` are read as 3.1 writes them, and keywords
that say nothing (`minItems: 0`) are dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json
from voicegauge.drift.contracts.normalized_schema import (
    AROUND,
    TITLES,
    AppliedSchemas,
    NormalizedSchema,
    is_single,
    merge_schemas,
    read_schema,
    type_names,
)

MAX_NESTING = 60
"""Of branches in branches; deeper ones stay as they are spelled."""
MAX_DEPTH = 12
"""Of a schema that is compared as a whole; what lies deeper counts as equal. Each depth is printed once."""


class SchemaFingerprint(NamedTuple):
    """A fingerprint of a schema."""

    digest: bytes
    is_whole: bool
    """Nothing of the schema lies too deep to be in it."""


class SchemaNormalizer:
    """Normal forms and fingerprints of the schemas of one document, each made once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._normal: dict[tuple[str, ...], NormalizedSchema] = {}
        self._open: set[tuple[str, ...]] = set()
        self._prints: dict[tuple[tuple[str, ...], int], SchemaFingerprint] = {}

    def normal(self, applied: AppliedSchemas, place: DocumentNode) -> NormalizedSchema:
        """The normal form of the parts in `applied`; `place` stands for it where there are none.

        Raises:
            ContractError: a reference leads nowhere or in a circle.
        """
        key = tuple(part.pointer for part in applied)
        if not key:
            return NormalizedSchema(place)
        if key not in self._normal:
            self._open.add(key)
            self._normal[key] = self._made(applied)
            self._open.discard(key)
        return self._normal[key]

    def _made(self, applied: AppliedSchemas) -> NormalizedSchema:
        schema = NormalizedSchema(applied[0])
        rest: list[AppliedSchemas] = []
        for fragment in _fragments(applied):
            together = merge_schemas(schema, fragment)
            if together is None:
                rest.append((fragment.place,))
            else:
                schema = together
        if len(rest) == 1:
            together = merge_schemas(schema, read_schema(rest[0][0]), apart=AROUND)
            schema, rest = (together, []) if together else (schema, rest)
        if rest:
            schema = replace(schema, lists={**schema.lists, "allOf": tuple(rest)})
        for key in ("anyOf", "oneOf"):
            if key in schema.lists:
                schema = self._simplified(schema, key)
        return _with_nullable(schema)

    def _simplified(self, schema: NormalizedSchema, key: str) -> NormalizedSchema:
        """Null out of the branches of `key`; a single one, or branches that are mere types, into the schema."""
        applied = schema.lists[key]
        if len(self._open) > MAX_NESTING or any(tuple(p.pointer for p in branch) in self._open for branch in applied):
            return schema
        branches = {branch: self.normal(branch, branch[0]) for branch in applied}
        others = tuple(branch for branch in applied if not _is_null(branches[branch]))
        left = {name: value for name, value in schema.lists.items() if name != key}
        if len(others) < len(applied) and not schema.is_bare:
            return schema
        null = True if len(others) < len(applied) else _settled(list(branches.values()))
        if len(others) == 1:
            single = _beside(schema, left, branches[others[0]])
            if single is not None:
                return replace(single, null=null if schema.is_bare else None)
        if (mere := _mere_types([branches[branch] for branch in others], key)) and "type" not in schema.words:
            stated = replace(schema.place.child(key), value=mere)
            return replace(schema, words={**schema.words, "type": stated}, lists=left, null=null)
        return replace(schema, lists={**left, key: others}, null=null)

    def fingerprint(self, applied: AppliedSchemas) -> SchemaFingerprint:
        """Equal for schemas that say the same, as far as `MAX_DEPTH` lets it see."""
        return self._fingerprint(applied, MAX_DEPTH)

    def _fingerprint(self, applied: AppliedSchemas, depth: int) -> SchemaFingerprint:
        key = tuple(part.pointer for part in applied)
        if not key or depth == 0:
            return SchemaFingerprint(b"", is_whole=not key)
        known = self._prints.get((key, 0)) or self._prints.get((key, depth))
        if known is None:
            known = self._printed(applied, depth)
            self._prints[key, 0 if known.is_whole else depth] = known
        return known

    def _printed(self, applied: AppliedSchemas, depth: int) -> SchemaFingerprint:
        inside: list[SchemaFingerprint] = []

        def below(parts: AppliedSchemas) -> str:
            inside.append(self._fingerprint(parts, depth - 1))
            return inside[-1].digest.hex()

        schema = self.normal(applied, applied[0])
        lists = {name: _in_order(name, [below(branch) for branch in found]) for name, found in schema.lists.items()}
        mappings = {
            name: {child: below(parts) for child, parts in found.items()} for name, found in schema.mappings.items()
        }
        words = dict(_comparable(name, word) for name, word in schema.words.items())
        inner = {name: below(parts) for name, parts in schema.below.items()}
        text = canonical_json([words, schema.takes_null, lists, mappings, inner])
        return SchemaFingerprint(hashlib.sha256(text).digest(), is_whole=all(print_.is_whole for print_ in inside))


def _fragments(applied: AppliedSchemas) -> Iterator[NormalizedSchema]:
    """What applies, each part on its own: beside a reference, behind it, in `allOf`."""
    stack, seen = list(reversed(applied)), set[str]()
    while stack:
        part = stack.pop()
        if part.pointer in seen:
            continue
        seen.add(part.pointer)
        own = read_schema(part)
        if not own.is_empty:
            yield own
        lists = ["allOf", *(key for key in ("anyOf", "oneOf") if is_single(part, key))]
        following = [branch for key in lists for _, branch in part.child(key).children()]
        reference = part.child("$ref")
        if isinstance(reference.value, str):
            following.insert(0, reference.reference_target())
        stack.extend(reversed(following))


def _beside(
    schema: NormalizedSchema, left: dict[str, tuple[AppliedSchemas, ...]], inner: NormalizedSchema
) -> NormalizedSchema | None:
    """`schema`, its only branch `inner` laid into what is left of it; its own titles win."""
    together = merge_schemas(replace(schema, lists=left), inner)
    if together is None:
        return None
    titles = {name: word for name, word in schema.words.items() if name in TITLES}
    place = inner.place if schema.is_bare else schema.place
    return replace(together, place=place, words={**together.words, **titles})


def _with_nullable(schema: NormalizedSchema) -> NormalizedSchema:
    """OpenAPI 3.0's `nullable`, out of the words."""
    if "nullable" not in schema.words:
        return schema
    words = {key: word for key, word in schema.words.items() if key != "nullable"}
    return replace(schema, words=words, null=True)


def _settled(branches: list[NormalizedSchema]) -> bool | None:
    """Whether null fits one of `branches`; `None` where one of them does not say."""
    said = {branch.takes_null for branch in branches}
    return True if True in said else None if None in said else False


def _mere_types(branches: list[NormalizedSchema], key: str) -> list[str]:
    """The types that `branches` come to, where they say nothing else; else none."""
    if not all(branch.is_mere and branch.words.keys() == {"type"} for branch in branches):
        return []
    names = list(dict.fromkeys(name for branch in branches for name in type_names(branch.words["type"].value)))
    return [] if key == "oneOf" and {"integer", "number"} <= set(names) else names


def _is_null(schema: NormalizedSchema) -> bool:
    return schema.is_mere and schema.words.keys() == {"type"} and schema.types == frozenset()


def _comparable(key: str, word: DocumentNode) -> tuple[str, object]:
    """A keyword and its value; a `const` as an enumeration, and lists whose order says nothing in one order."""
    if key == "type":
        return key, sorted(set(type_names(word.value)) - {"null"})
    if key in ("enum", "required", "const"):
        values = [word.value] if key == "const" else word.value
        return key.replace("const", "enum"), sorted({canonical_json(value).decode() for value in values})
    return key, word.value


def _in_order(key: str, prints: list[str]) -> list[str]:
    return prints if key == "prefixItems" else sorted(prints)
