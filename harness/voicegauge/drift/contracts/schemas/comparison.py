"""Two schemas compared keyword by keyword, and all the schemas inside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.drift.contracts.node import Part, canonical_json, same_json
from voicegauge.drift.contracts.schema import Applied, Schema
from voicegauge.drift.contracts.schema_rules import ASSERTIONS, BOUNDS, KINDS, Kind, rule_id
from voicegauge.drift.contracts.schemas.branches import compare_branches, compare_wrapping
from voicegauge.drift.contracts.schemas.types import Found, are_disjoint, compare_types
from voicegauge.drift.contracts.scope import Pair, Scope
from voicegauge.drift.report import Change
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


def compare_schemas(scope: Scope, stem: str, old: Part, new: Part) -> Iterator[Change]:
    """Every change between the schemas at `old` and `new`; a missing one means that anything fits.

    Args:
        scope: the place of both.
        stem: the kind of place, one of `KINDS`.
        old: the older schema.
        new: the newer one.
    """
    shared = (stem, _shared(old), _shared(new))
    if shared in scope.unchanged:
        return
    begin = Pair(scope, KINDS[stem], (old,) if old.there else (), (new,) if new.there else (), old, new)
    stack, seen, changed = [begin], set[tuple[Any, ...]](), False
    while stack:  # no recursion: a chain of references may be longer than Python's stack
        pair = stack.pop()
        if pair.key in seen:
            continue
        seen.add(pair.key)
        following: list[Pair] = []
        for found in _compare(pair, following):
            changed = True
            yield found
        stack.extend(reversed(following))
    if not changed:
        scope.unchanged.add(shared)


def _shared(part: Part) -> str:
    """Equal for the places of one component: the pointer behind a bare reference."""
    is_bare = isinstance(part.value, dict) and part.value.keys() == {"$ref"}
    return part.followed().pointer if is_bare else part.pointer


def _compare(pair: Pair, following: list[Pair]) -> Iterator[Change]:
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


def _words(old: Schema, new: Schema) -> Iterator[Found]:
    """The changes of keywords that are plain data."""
    yield from compare_types(old, new)
    yield from _values(old, new)
    for keyword in dict.fromkeys((*old.words, *new.words)):
        yield from _word(keyword, old.word(keyword), new.word(keyword))


def _word(keyword: str, old: Part, new: Part) -> Iterator[Found]:
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


def _bound(name: str, old: Part, new: Part) -> Iterator[Found]:
    if old.there and new.there:
        if old.value != new.value:
            direction = "increased" if new.value > old.value else "decreased"
            yield Found(f"{name}-{direction}", old, new, {"old": old.value, "new": new.value})
    elif new.there:
        yield Found(f"{name}-set", old, new, {"new": new.value})
    elif old.there:
        yield Found(f"{name}-unset", old, new, {"old": old.value})


def _plain(name: str, old: Part, new: Part) -> Iterator[Found]:
    """Added, removed or changed."""
    if old.there and new.there:
        if not same_json(old.value, new.value):
            yield Found(f"{name}-changed", old, new, {"old": old.value, "new": new.value})
    elif new.there:
        yield Found(f"{name}-added", old, new, {"new": new.value})
    elif old.there:
        yield Found(f"{name}-removed", old, new, {"old": old.value})


def _flag(names: tuple[str, str], old: Part, new: Part) -> Iterator[Found]:
    """The first of `names` where it was set, the second where it was unset."""
    if (old.value is True) != (new.value is True):
        yield Found(names[0] if new.value is True else names[1], old, new, {})


def _values(old: Schema, new: Schema) -> Iterator[Found]:
    """Enumerations, and a `const`, which is one of a single value. Null is a matter of nullability."""
    before, after = old.word("const"), new.word("const")
    if before.there or after.there:
        listed = (old if after.there else new).values
        if listed is None or (before.there and after.there):
            yield from _plain("const", before, after)
            return
    before, after = (s.word("const" if s.word("const").there else "enum") for s in (old, new))
    was, now = _listed(old), _listed(new)
    if was is None and now is not None:
        yield Found("became-enum", before, after, {"new": list(now.values())})
    elif was is not None and now is None:
        yield Found("enum-unset", before, after, {"old": list(was.values())})
    elif was is not None and now is not None:
        added = [value for key, value in now.items() if key not in was]
        removed = [value for key, value in was.items() if key not in now]
        if removed:
            yield Found("enum-value-removed", before, after, {"old": removed})
        if added:
            yield Found("enum-value-added", before, after, {"new": added})


def _listed(schema: Schema) -> dict[bytes, Any] | None:
    values = schema.values
    return None if values is None else {canonical_json(value): value for value in values if value is not None}


def _discriminator(old: Part, new: Part) -> Iterator[Found]:
    if not (old.there and new.there):
        yield from _plain("discriminator", old, new)
        return
    for found in _plain("", old.child("propertyName"), new.child("propertyName")):
        yield found._replace(action="discriminator-property-name-changed")
    before, after = old.child("mapping"), new.child("mapping")
    for key in dict.fromkeys([key for part in (before, after) for key, _ in part.children()]):
        for found in _plain("discriminator-mapping", before.child(key), after.child(key)):
            yield found._replace(action=found.action.replace("-removed", "-deleted"))


def _properties(pair: Pair, old: Schema, new: Schema, following: list[Pair]) -> Iterator[Change]:
    """Properties that came, went or are required otherwise; those on both sides are put into `following`."""
    inner = KINDS[pair.kind.inner]
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
                following.append(Pair(scope, inner, was, now, *places))
        elif inner.sent and not hidden[1] and new.requires(name):  # it was not to be sent before
            yield scope.change(_come(inner, "required", forms[1]), *places)
        elif not inner.sent and not hidden[0]:  # it is answered no longer
            yield scope.change(_gone(inner, "required" if old.requires(name) else "optional"), *places)


def _is_hidden(inner: Kind, form: Schema) -> bool:
    """Whether it does not travel this way: what is only read is not sent, what is only written not answered."""
    return ("readOnly" if inner.sent else "writeOnly") in form.words


def _place(schema: Schema, name: str) -> Part:
    applied = schema.properties.get(name)
    return applied[0] if applied else schema.place.child("properties").child(name)


def _presence(
    scope: Scope, inner: Kind, name: str, both: tuple[Schema, Schema], places: tuple[Part, Part, Schema]
) -> Iterator[Change]:
    old, new = both
    before, after, form = places
    added = name in new.properties
    required = (new if added else old).requires(name)
    need = "required" if required else "optional"
    yield scope.change(_come(inner, need, form) if added else _gone(inner, need), before, after)


def _come(inner: Kind, need: str, form: Schema) -> str:
    """The rule for a property that is there now."""
    if not inner.sent:
        return f"{inner.message}-{need}-property-added"
    given = need == "required" and "default" in form.words
    return f"new-{need}-{inner.stem}" + ("-with-default" if given else "")


def _gone(inner: Kind, need: str) -> str:
    """The rule for a property that is there no longer."""
    return f"{inner.stem}-removed" if inner.sent else f"{inner.message}-{need}-property-removed"


def _need(
    scope: Scope, inner: Kind, name: str, both: tuple[Schema, Schema], forms: tuple[Schema, Schema]
) -> Iterator[Change]:
    old, new = both
    if old.requires(name) == new.requires(name):
        return
    rule = f"{inner.stem}-became-{'required' if new.requires(name) else 'optional'}"
    if inner.sent and new.requires(name) and "default" in forms[1].words:
        rule += "-with-default"
    yield scope.change(rule, old.word("required"), new.word("required"))


def _access(scope: Scope, inner: Kind, required: bool, forms: tuple[Schema, Schema]) -> Iterator[Change]:
    need = "required" if required else "optional"
    for keyword, name in (("readOnly", "read-only"), ("writeOnly", "write-only")):
        before, after = (form.word(keyword) for form in forms)
        for action, *_ in _flag((f"became-{name}", f"became-not-{name}"), before, after):
            yield scope.change(f"{inner.message}-{need}-property-{action}", before, after)


def _inner(pair: Pair, old: Schema, new: Schema, following: list[Pair]) -> Iterator[Change]:
    """The other schemas inside: those of items are compared, those that assert something count as a whole."""
    inner = KINDS[pair.kind.inner]
    closed = [_is_closed(schema) for schema in (old, new)]
    before, after = (schema.place.child("additionalProperties") for schema in (old, new))
    if closed[0] != closed[1]:
        action = "additional-properties-forbidden" if closed[1] else "additional-properties-allowed"
        yield pair.scope.change(rule_id(pair.kind, action), before, after)
    for keyword, at in (("items", "/*"), ("additionalProperties", "/*")):
        was, now = old.below.get(keyword, ()), new.below.get(keyword, ())
        if (was or now) and (keyword == "items" or not any(closed)):
            places = (old.place.child(keyword), new.place.child(keyword))
            following.append(Pair(pair.scope.inside(at), inner, was, now, *places))
    said = {*old.mappings, *old.below, *new.mappings, *new.below}
    for keyword, name in ASSERTIONS.items():
        for action, first, second in _assertion(pair, keyword, old, new) if keyword in said else ():
            yield pair.scope.change(rule_id(pair.kind, f"{name}-{action}"), first, second)


def _is_closed(schema: Schema) -> bool:
    return any(part.value is False for part in schema.below.get("additionalProperties", ()))


def _assertion(pair: Pair, keyword: str, old: Schema, new: Schema) -> Iterator[tuple[str, Part, Part]]:
    was: dict[str, Applied] = {}
    now: dict[str, Applied] = {}
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
