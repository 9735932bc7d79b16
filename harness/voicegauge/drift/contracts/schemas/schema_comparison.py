"""Two schemas compared keyword by keyword, and all the schemas inside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json, is_same_json
from voicegauge.drift.contracts.normalized_schema import AppliedSchemas, NormalizedSchema
from voicegauge.drift.contracts.schema_rules import ASSERTIONS, BOUNDS, SCHEMA_KINDS, SchemaKind, rule_id
from voicegauge.drift.contracts.schemas.branches import compare_branches, compare_wrapping
from voicegauge.drift.contracts.schemas.types import KeywordChange, are_disjoint, compare_types
from voicegauge.drift.contracts.scope import ComparisonScope, SchemaPair
from voicegauge.drift.report import DriftChange
from voicegauge.formats import escape

_PLAIN = {
    **{keyword: ASSERTIONS[keyword] for keyword in ("pattern", "multipleOf", "dependentRequired")},
    "default": "default-value",
}
"""Keywords whose value is added, removed or changed, by the name of it in rules."""
_CHANGED = {"contentMediaType": "content-media-type", "contentEncoding": "content-encoding", "x-advice": "advice"}
"""Keywords of which any difference is a change."""
_FLAGS = {
    "deprecated": ("deprecated", "reactivated"),
    "uniqueItems": ("unique-items-set", "unique-items-unset"),
}


def compare_schemas(scope: ComparisonScope, stem: str, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Every change between the schemas at `old` and `new`; a missing one means that anything fits.

    Args:
        scope: the place of both.
        stem: the kind of place, one of `SCHEMA_KINDS`.
        old: the older schema.
        new: the newer one.
    """
    shared = (stem, _shared(old), _shared(new))
    if shared in scope.unchanged:
        return
    begin = SchemaPair(scope, SCHEMA_KINDS[stem], (old,) if old.exists else (), (new,) if new.exists else (), old, new)
    stack, seen, changed = [begin], set[tuple[Any, ...]](), False
    while stack:  # no recursion: a chain of references may be longer than Python's stack
        pair = stack.pop()
        if pair.key in seen:
            continue
        seen.add(pair.key)
        following: list[SchemaPair] = []
        for found in _compare(pair, following):
            changed = True
            yield found
        stack.extend(reversed(following))
    if not changed:
        scope.unchanged.add(shared)


def _shared(part: DocumentNode) -> str:
    """Equal for the places of one component: the pointer behind a bare reference."""
    is_bare = isinstance(part.value, dict) and part.value.keys() == {"$ref"}
    return part.resolve().pointer if is_bare else part.pointer


def _compare(pair: SchemaPair, following: list[SchemaPair]) -> Iterator[DriftChange]:
    """The changes of one pair; the pairs inside it are put into `following`."""
    old, new = pair.forms()
    wrapping = list(compare_wrapping(pair, old, new, following))
    if wrapping or following:
        yield from wrapping
        return
    for action, before, after, values in _words(old, new):
        yield pair.scope.change(rule_id(pair.kind, action), before, after, **values)
    if are_disjoint(old, new):
        return
    yield from _properties(pair, old, new, following)
    yield from _inner(pair, old, new, following)
    yield from compare_branches(pair, old, new, following)


def _words(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """The changes of keywords that are plain data."""
    yield from compare_types(old, new)
    yield from _values(old, new)
    for keyword in dict.fromkeys((*old.words, *new.words)):
        yield from _word(keyword, old.word(keyword), new.word(keyword))


def _word(keyword: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if keyword in BOUNDS:
        yield from _bound(BOUNDS[keyword], old, new)
    elif keyword in _PLAIN:
        yield from _plain(_PLAIN[keyword], old, new)
    elif keyword in _CHANGED:
        yield from (found._replace(action=f"{_CHANGED[keyword]}-changed") for found in _plain("", old, new))
    elif keyword in _FLAGS:
        yield from _flag(_FLAGS[keyword], old, new)
    elif keyword == "discriminator":
        yield from _discriminator(old, new)


def _bound(name: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if old.exists and new.exists:
        if old.value != new.value:
            direction = "increased" if new.value > old.value else "decreased"
            yield KeywordChange(f"{name}-{direction}", old, new, {"old": old.value, "new": new.value})
    elif new.exists:
        yield KeywordChange(f"{name}-set", old, new, {"new": new.value})
    elif old.exists:
        yield KeywordChange(f"{name}-unset", old, new, {"old": old.value})


def _plain(name: str, old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    """Added, removed or changed."""
    if old.exists and new.exists:
        if not is_same_json(old.value, new.value):
            yield KeywordChange(f"{name}-changed", old, new, {"old": old.value, "new": new.value})
    elif new.exists:
        yield KeywordChange(f"{name}-added", old, new, {"new": new.value})
    elif old.exists:
        yield KeywordChange(f"{name}-removed", old, new, {"old": old.value})


def _flag(names: tuple[str, str], old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    """The first of `names` where it was set, the second where it was unset."""
    if (old.value is True) != (new.value is True):
        yield KeywordChange(names[0] if new.value is True else names[1], old, new, {})


def _values(old: NormalizedSchema, new: NormalizedSchema) -> Iterator[KeywordChange]:
    """Enumerations, and a `const`, which is one of a single value. Null is a matter of nullability."""
    before, after = old.word("const"), new.word("const")
    if before.exists or after.exists:
        listed = (old if after.exists else new).values
        if listed is None or (before.exists and after.exists):
            yield from _plain("const", before, after)
            return
    before, after = (s.word("const" if s.word("const").exists else "enum") for s in (old, new))
    was, now = _listed(old), _listed(new)
    if was is None and now is not None:
        yield KeywordChange("became-enum", before, after, {"new": list(now.values())})
    elif was is not None and now is None:
        yield KeywordChange("enum-unset", before, after, {"old": list(was.values())})
    elif was is not None and now is not None:
        added = [value for key, value in now.items() if key not in was]
        removed = [value for key, value in was.items() if key not in now]
        if removed:
            yield KeywordChange("enum-value-removed", before, after, {"old": removed})
        if added:
            yield KeywordChange("enum-value-added", before, after, {"new": added})


def _listed(schema: NormalizedSchema) -> dict[bytes, Any] | None:
    values = schema.values
    return None if values is None else {canonical_json(value): value for value in values if value is not None}


def _discriminator(old: DocumentNode, new: DocumentNode) -> Iterator[KeywordChange]:
    if not (old.exists and new.exists):
        yield from _plain("discriminator", old, new)
        return
    for found in _plain("", old.child("propertyName"), new.child("propertyName")):
        yield found._replace(action="discriminator-property-name-changed")
    before, after = old.child("mapping"), new.child("mapping")
    for key in dict.fromkeys([key for part in (before, after) for key, _ in part.children()]):
        for found in _plain("discriminator-mapping", before.child(key), after.child(key)):
            yield found._replace(action=found.action.replace("-removed", "-deleted"))


def _properties(
    pair: SchemaPair, old: NormalizedSchema, new: NormalizedSchema, following: list[SchemaPair]
) -> Iterator[DriftChange]:
    """Properties that came, went or are required otherwise; those on both sides are put into `following`."""
    inner = SCHEMA_KINDS[pair.kind.inner]
    for name in dict.fromkeys((*old.properties, *new.properties, *old.required, *new.required)):
        scope = pair.scope.inside(f"/{escape(name)}")
        places = _place(old, name), _place(new, name)
        was, now = old.properties.get(name, ()), new.properties.get(name, ())
        forms = scope.old.normal(was, places[0]), scope.new.normal(now, places[1])
        hidden = [_is_hidden(inner, form) for form in forms]
        if bool(was) != bool(now) and not (old.requires(name) and new.requires(name)):
            if not any(hidden):
                yield from _presence(scope, inner, name, (old, new), (*places, forms[1]))
            continue
        yield from _access(scope, inner, new.requires(name), forms)
        if not any(hidden):
            yield from _need(scope, inner, name, (old, new), forms)
            if was or now:
                following.append(SchemaPair(scope, inner, was, now, *places))
        elif inner.sent and not hidden[1] and new.requires(name):  # it was not to be sent before
            yield scope.change(_come(inner, "required", forms[1]), *places)
        elif not inner.sent and not hidden[0]:  # it is answered no longer
            yield scope.change(_gone(inner, "required" if old.requires(name) else "optional"), *places)


def _is_hidden(inner: SchemaKind, form: NormalizedSchema) -> bool:
    """Whether it does not travel this way: what is only read is not sent, what is only written not answered."""
    return ("readOnly" if inner.sent else "writeOnly") in form.words


def _place(schema: NormalizedSchema, name: str) -> DocumentNode:
    applied = schema.properties.get(name)
    return applied[0] if applied else schema.place.child("properties").child(name)


def _presence(
    scope: ComparisonScope,
    inner: SchemaKind,
    name: str,
    both: tuple[NormalizedSchema, NormalizedSchema],
    places: tuple[DocumentNode, DocumentNode, NormalizedSchema],
) -> Iterator[DriftChange]:
    old, new = both
    before, after, form = places
    added = name in new.properties
    required = (new if added else old).requires(name)
    need = "required" if required else "optional"
    yield scope.change(_come(inner, need, form) if added else _gone(inner, need), before, after)


def _come(inner: SchemaKind, need: str, form: NormalizedSchema) -> str:
    """The rule for a property that is there now."""
    if not inner.sent:
        return f"{inner.message}-{need}-property-added"
    given = need == "required" and "default" in form.words
    return f"new-{need}-{inner.stem}" + ("-with-default" if given else "")


def _gone(inner: SchemaKind, need: str) -> str:
    """The rule for a property that is there no longer."""
    return f"{inner.stem}-removed" if inner.sent else f"{inner.message}-{need}-property-removed"


def _need(
    scope: ComparisonScope,
    inner: SchemaKind,
    name: str,
    both: tuple[NormalizedSchema, NormalizedSchema],
    forms: tuple[NormalizedSchema, NormalizedSchema],
) -> Iterator[DriftChange]:
    old, new = both
    if old.requires(name) == new.requires(name):
        return
    rule = f"{inner.stem}-became-{'required' if new.requires(name) else 'optional'}"
    if inner.sent and new.requires(name) and "default" in forms[1].words:
        rule += "-with-default"
    yield scope.change(rule, old.word("required"), new.word("required"))


def _access(
    scope: ComparisonScope, inner: SchemaKind, required: bool, forms: tuple[NormalizedSchema, NormalizedSchema]
) -> Iterator[DriftChange]:
    need = "required" if required else "optional"
    for keyword, name in (("readOnly", "read-only"), ("writeOnly", "write-only")):
        before, after = (form.word(keyword) for form in forms)
        for action, *_ in _flag((f"became-{name}", f"became-not-{name}"), before, after):
            yield scope.change(f"{inner.message}-{need}-property-{action}", before, after)


def _inner(
    pair: SchemaPair, old: NormalizedSchema, new: NormalizedSchema, following: list[SchemaPair]
) -> Iterator[DriftChange]:
    """The other schemas inside: those of items are compared, those that assert something count as a whole."""
    inner = SCHEMA_KINDS[pair.kind.inner]
    closed = [_is_closed(schema) for schema in (old, new)]
    before, after = (schema.place.child("additionalProperties") for schema in (old, new))
    if closed[0] != closed[1]:
        action = "additional-properties-forbidden" if closed[1] else "additional-properties-allowed"
        yield pair.scope.change(rule_id(pair.kind, action), before, after)
    for keyword, location in (("items", "/*"), ("additionalProperties", "/*")):
        was, now = old.below.get(keyword, ()), new.below.get(keyword, ())
        if (was or now) and (keyword == "items" or not any(closed)):
            places = (old.place.child(keyword), new.place.child(keyword))
            following.append(SchemaPair(pair.scope.inside(location), inner, was, now, *places))
    said = {*old.mappings, *old.below, *new.mappings, *new.below}
    for keyword, name in ASSERTIONS.items():
        for action, first, second in _assertion(pair, keyword, old, new) if keyword in said else ():
            yield pair.scope.change(rule_id(pair.kind, f"{name}-{action}"), first, second)


def _is_closed(schema: NormalizedSchema) -> bool:
    return any(part.value is False for part in schema.below.get("additionalProperties", ()))


def _assertion(
    pair: SchemaPair, keyword: str, old: NormalizedSchema, new: NormalizedSchema
) -> Iterator[tuple[str, DocumentNode, DocumentNode]]:
    was: dict[str, AppliedSchemas] = {}
    now: dict[str, AppliedSchemas] = {}
    for found, schema in ((was, old), (now, new)):
        found.update(schema.mappings.get(keyword, {}))
        if keyword in schema.below:
            found[""] = schema.below[keyword]
    for name in dict.fromkeys((*was, *now)):
        before, after = (schema.place.child(keyword) for schema in (old, new))
        if name:
            before, after = before.child(name), after.child(name)
        if name not in was:
            yield "added", before, after
        elif name not in now:
            yield "removed", before, after
        elif pair.scope.old.fingerprint(was[name]) != pair.scope.new.fingerprint(now[name]):
            yield "changed", before, after
