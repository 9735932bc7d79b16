"""Compares the `x-` extensions of two contracts by the facts in `extension_facts.yaml`, which also name the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.contract.document_parts import (
    ASYNCAPI_KEY,
    RECORD_TYPE_BY_OPERATION_KEY,
    RECORD_TYPE_BY_ROOT_KEY,
    convert_record,
)
from voicegauge.contract.extension.provider import KeySpec
from voicegauge.contract.extension.sockets import SocketSpec
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, NodePair, encode_canonical_json, is_same_json
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift.drift_report import DriftChange, DriftLevel, DriftRule, register_rules
from voicegauge.formats.locations import MISSING, encode_location

# Reads the table of facts: what is compared, and which rules report the changes.


FactKind = Literal[
    "number",
    "optional number",
    "value",
    "optional value",
    "template",
    "optional template",
    "presence",
    "names",
    "pairs",
    "choices",
    "flag",
]
"""How two values of a fact are compared; `extension_facts.yaml` explains each."""

_DIFFERENCES_BY_FACT_KIND: dict[FactKind, tuple[str, ...]] = {
    "number": ("increased", "decreased"),
    "optional number": ("increased", "decreased", "set", "unset"),
    "value": ("changed",),
    "optional value": ("added", "removed", "changed"),
    "template": ("changed",),
    "optional template": ("added", "removed", "changed"),
    "presence": ("added", "removed"),
    "names": ("added", "removed"),
    "pairs": ("added", "removed"),
    "choices": ("added", "removed", "set", "unset"),
    "flag": ("began", "ended"),
}
"""For each kind of fact, the differences that are reported, in the order of the levels. Rule ids end with them."""
_PREDICATE_BY_DIFFERENCE = {
    "set": "is now documented",
    "unset": "is no longer documented",
    "began": "now",
    "ended": "no longer",
}
"""What descriptions of rules say of a difference; of any other, such as "added", that the subject "was added"."""
_DRIFT_LEVEL_BY_LETTER = {"B": DriftLevel.BREAKING, "P": DriftLevel.POSSIBLY_BREAKING, "C": DriftLevel.COMPATIBLE}
"""Levels by the letter with which `extension_facts.yaml` abbreviates them."""


class ExtensionFact(NamedTuple):
    """A property of an `x-` key, given by its path, and the rules that report changes of its value."""

    fact_path: str
    """Path in the record, in which `*` means every key: "states/*/is_charged". Empty for the extension as a whole."""
    kind: FactKind
    """What kind of value the property has, which determines the differences that are reported."""
    level_letters: str
    """The first letters of the levels of the differences that `kind` has, in their order."""
    rule_id_prefix: str
    """Start of the ids of the rules for this fact."""
    description_subject: str
    """Subject of the rule descriptions. For a flag, the whole sentence, with `{}` in place of "now" or "no longer"."""

    def iterate_rules(self) -> Iterator[DriftRule]:
        """Yield the rule for each difference that is reported."""
        for difference, letter in zip(_DIFFERENCES_BY_FACT_KIND[self.kind], self.level_letters, strict=True):
            words = _PREDICATE_BY_DIFFERENCE.get(difference, f"was {difference}")
            is_sentence = self.kind == "flag"
            description = (
                self.description_subject.format(words) if is_sentence else f"{self.description_subject} {words}"
            )
            rule_id = f"{self.rule_id_prefix}-{difference}"
            yield DriftRule(rule_id, _DRIFT_LEVEL_BY_LETTER[letter], description, "contracts")


class _IncludedFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stands for the facts below another name of the table, about a record inside this one."""

    include: str
    """The other name, such as "audio"."""
    path_prefix: str = ""
    """Path of the record, with which the paths of the facts begin; empty for this record itself."""
    rule_id_prefix: str = ""
    """Start of the ids of the rules of these facts; empty to leave their ids as they are."""


_FACT_TABLE = msgspec.yaml.decode(
    Path(__file__).with_name("extension_facts.yaml").read_bytes(),
    type=dict[str, tuple[ExtensionFact | _IncludedFacts, ...]],
)


def _iterate_table_facts(table_name: str) -> Iterator[ExtensionFact]:
    """Yield the facts below a name of the table, with those that it includes."""
    for row in _FACT_TABLE[table_name]:
        if isinstance(row, ExtensionFact):
            yield row
            continue
        for fact in _iterate_table_facts(row.include):
            yield fact._replace(
                fact_path="/".join(filter(None, (row.path_prefix, fact.fact_path))),
                rule_id_prefix="-".join(filter(None, (row.rule_id_prefix, fact.rule_id_prefix))),
            )


_PATHS_OF_PRICE_AMOUNTS = (
    *(tuple(fact.fact_path.split("/")) for fact in _iterate_table_facts("amount") if fact.fact_path != "usage"),
    ("added_parts",),
)
"""The paths, in a price, of what facts of its own compare in both contracts. Of `usage`, it is only some fields."""

_RecordByExtensionKey = Mapping[str, type[Any]]
"""For each `x-` key, the class of the record that its value is read as."""
_CHANNEL_EXTENSIONS: _RecordByExtensionKey = {"x-socket": SocketSpec}
"""The extensions of a channel of an AsyncAPI document that are compared."""
_SECURITY_SCHEME_EXTENSIONS: _RecordByExtensionKey = {"x-key": KeySpec}
"""The extensions of a security scheme that are compared."""
_EXTENSION_KEYS_WITH_DEFAULT = ("x-limits", "x-key")
"""Keys of extensions that are compared as if they had their default values if one contract lacks them. Each limit or
other value that only one contract states is thus reported as a separate change."""
_FACTS_BY_EXTENSION_KEY = {key: tuple(_iterate_table_facts(key)) for key in _FACT_TABLE if key.startswith("x-")}


# Facts with the same `rule_id_prefix` share their rules.
register_rules(
    {
        rule.id: rule for facts in _FACTS_BY_EXTENSION_KEY.values() for fact in facts for rule in fact.iterate_rules()
    }.values()
)


# Compares the values of the facts in two contracts.


class _LocatedValue(NamedTuple):
    """A value in the older or the newer contract, with the node of the contract at which it is."""

    value: Any
    """The value; `MISSING` if the contract does not document it."""
    node: DocumentNode
    """The node at which the value is; if the value is missing, the node at which it would be."""

    def get_child(self, key: str) -> _LocatedValue:
        value = self.value.get(key)
        return _LocatedValue(MISSING if value is None else value, self.node.get_child(key))

    def get_item(self, index: int) -> _LocatedValue:
        return _LocatedValue(self.value[index], self.node.get_child(index))


def compare_operation_extensions(
    api_part: ApiPart,
    old_node: DocumentNode,
    new_node: DocumentNode,
    old_and_new_root: NodePair,
) -> Iterator[DriftChange]:
    """Yield every change of an operation's extensions, or nothing if either document is not a voicegauge contract.

    Raises:
        ContractError: an extension is not valid.
    """
    if all(root.get_child("x-provider").exists for root in old_and_new_root):
        yield from _compare_extensions(api_part, old_node, new_node, RECORD_TYPE_BY_OPERATION_KEY)
        streams = (node.get_child("x-stream").resolve_references() for node in (old_node, new_node))
        yield from _compare_event_schemas(api_part.create_nested_part("x-stream"), *streams)


def compare_channel_extensions(
    api_part: ApiPart,
    old_node: DocumentNode,
    new_node: DocumentNode,
    old_and_new_root: NodePair,
) -> Iterator[DriftChange]:
    """Yield every change of a channel's extensions, or nothing if either document is not a voicegauge contract.

    The AsyncAPI document of a contract without HTTP has `x-provider` itself.

    Raises:
        ContractError: an extension is not valid.
    """
    if all(
        any(node.get_child("x-provider").exists for node in (root, root.get_child(ASYNCAPI_KEY)))
        for root in old_and_new_root
    ):
        yield from _compare_extensions(api_part, old_node, new_node, _CHANNEL_EXTENSIONS)


def compare_document_extensions(
    api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield every change of a document's own extensions, or nothing if either document is not a voicegauge contract.

    Raises:
        ContractError: an extension is not valid.
    """
    if old_node.get_child("x-provider").exists and new_node.get_child("x-provider").exists:
        yield from _compare_extensions(api_part, old_node, new_node, RECORD_TYPE_BY_ROOT_KEY)
        old_schemes, new_schemes = (
            node.get_child("components").get_child("securitySchemes") for node in (old_node, new_node)
        )
        for name, scheme in old_schemes.iterate_children():
            schemes = (scheme.resolve_references(), new_schemes.get_child(name).resolve_references())
            if schemes[1].exists:
                nested = api_part.create_nested_part(f"security scheme {name} ")
                yield from _compare_extensions(nested, *schemes, _SECURITY_SCHEME_EXTENSIONS)


def _compare_extensions(
    api_part: ApiPart,
    old_node: DocumentNode,
    new_node: DocumentNode,
    record_by_extension_key: _RecordByExtensionKey,
) -> Iterator[DriftChange]:
    for key, record_type in record_by_extension_key.items():
        if key not in _FACTS_BY_EXTENSION_KEY or MISSING is old_node.get_value(key, MISSING) is new_node.get_value(
            key, MISSING
        ):
            continue
        before, after = (
            _read_extension(node.get_child(key).resolve_references(), key, record_type) for node in (old_node, new_node)
        )
        # Most extensions are equal: one comparison of the whole spares those of all facts.
        if before.value is after.value or (
            MISSING not in (before.value, after.value) and is_same_json(before.value, after.value)
        ):
            continue
        unchanged = _list_unchanged_members(before.value, after.value)
        for fact in _FACTS_BY_EXTENSION_KEY[key]:
            keys = fact.fact_path.split("/") if fact.fact_path else []
            if not keys or keys[0] not in unchanged:
                yield from _compare_fact(api_part.create_nested_part(key), fact, keys, before, after)


def _list_unchanged_members(old_value: Any, new_value: Any) -> set[str]:
    """Return the names of equal members: of the forty of a provider, one or two change, and the others need no walk."""
    if not (isinstance(old_value, dict) and isinstance(new_value, dict)):
        return set()
    return {name for name, value in old_value.items() if name in new_value and is_same_json(value, new_value[name])}


def _read_extension(node: DocumentNode, extension_key: str, record_type: type[Any]) -> _LocatedValue:
    """Read the value of an `x-` key at `node` as plain data, in which missing fields have their default values.

    The value is `MISSING` if the contract does not have the key and the key is not in `_EXTENSION_KEYS_WITH_DEFAULT`.
    """
    if node.exists:
        record = convert_record(node.document, node.value, node.pointer, record_type)
    elif extension_key in _EXTENSION_KEYS_WITH_DEFAULT:
        record = record_type()
    else:
        return _LocatedValue(MISSING, node)
    return _LocatedValue(msgspec.to_builtins(record, enc_hook=encode_location), node)


def _compare_event_schemas(api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode) -> Iterator[DriftChange]:
    """Yield the changes in the schemas of the events that both streams have.

    The schemas are compared like properties of a response body.
    """
    new_events = new_node.get_child("events")
    for name, event in old_node.get_child("events").iterate_children():
        before, after = event.get_child("data_schema"), new_events.get_child(name).get_child("data_schema")
        if before.exists and after.exists:
            yield from compare_schemas(
                api_part.create_nested_part(f"/events/{name}/data_schema"), "response-property", before, after
            )


def _compare_fact(
    api_part: ApiPart,
    fact: ExtensionFact,
    remaining_keys: list[str],
    old_value: _LocatedValue,
    new_value: _LocatedValue,
) -> Iterator[DriftChange]:
    """Yield the changes of a fact, whose values are at the path `remaining_keys` inside `old_value` and `new_value`.

    The key `*` stands for every key that both contracts have, and in a list for every item that is paired.
    """
    if not remaining_keys:
        yield from _compare_fact_values(api_part, fact, old_value, new_value)
        return
    key, remaining = remaining_keys[0], remaining_keys[1:]
    if key == "*" and _is_list(old_value.value) and _is_list(new_value.value):
        for pair in _pair_items(old_value.value, new_value.value):
            before, after = old_value.get_item(pair.old_index), new_value.get_item(pair.new_index)
            yield from _compare_fact(api_part.create_nested_part(f"/{pair.name}"), fact, remaining, before, after)
        return
    if not (isinstance(old_value.value, dict) and isinstance(new_value.value, dict)):
        return
    for name in [name for name in old_value.value if name in new_value.value] if key == "*" else [key]:
        before, after = old_value.get_child(name), new_value.get_child(name)
        if remaining and MISSING in (before.value, after.value):
            continue  # the row for the parent reports that it was added or removed
        yield from _compare_fact(api_part.create_nested_part(f"/{name}"), fact, remaining, before, after)


def _compare_fact_values(
    api_part: ApiPart, fact: ExtensionFact, old_value: _LocatedValue, new_value: _LocatedValue
) -> Iterator[DriftChange]:
    if fact.kind in ("names", "pairs", "choices"):
        yield from _compare_fact_items(api_part, fact, old_value, new_value)
        return
    difference = _classify_difference(fact.kind, old_value.value, new_value.value)
    if difference in _DIFFERENCES_BY_FACT_KIND[fact.kind]:
        values = {"old": old_value.value, "new": new_value.value}
        shown = {side: one for side, one in values.items() if one is not MISSING and not isinstance(one, dict | list)}
        yield api_part.build_change(f"{fact.rule_id_prefix}-{difference}", old_value.node, new_value.node, **shown)


def _classify_difference(kind: FactKind, old_value: Any, new_value: Any) -> str:
    """Return the word for the difference between two values, such as "increased"; empty if there is no difference.

    The ids of the rules end with this word.
    """
    if kind == "flag":  # a flag that is not documented is false
        return "" if (old_value is True) == (new_value is True) else "began" if new_value is True else "ended"
    is_number = kind in ("number", "optional number")
    if old_value is MISSING or new_value is MISSING:
        appeared, disappeared = ("set", "unset") if is_number else ("added", "removed")
        return "" if old_value is new_value else appeared if old_value is MISSING else disappeared
    if is_number:
        return "" if old_value == new_value else "increased" if new_value > old_value else "decreased"
    # The content of a mapping has rows for its own facts.
    has_own_facts = kind in ("value", "optional value") and isinstance(old_value, dict)
    return "" if has_own_facts or is_same_json(old_value, new_value) else "changed"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _compare_fact_items(
    api_part: ApiPart, fact: ExtensionFact, old_value: _LocatedValue, new_value: _LocatedValue
) -> Iterator[DriftChange]:
    old_names, new_names = old_value.value, new_value.value
    if fact.kind == "pairs" and _is_list(old_names) and _is_list(new_names):
        pairs = _pair_items(old_names, new_names)
        old_names = _remove_items_at_indexes(old_names, {pair.old_index for pair in pairs})
        new_names = _remove_items_at_indexes(new_names, {pair.new_index for pair in pairs})
    before, after = ([] if names is MISSING else list(map(_remove_source, names)) for names in (old_names, new_names))
    if fact.kind == "choices" and bool(before) != bool(after):
        difference, side = ("set", "new") if after else ("unset", "old")
        values = {side: after or before}
        yield api_part.build_change(f"{fact.rule_id_prefix}-{difference}", old_value.node, new_value.node, **values)
        return
    yield from api_part.compare_lists(fact.rule_id_prefix, (old_value.node, new_value.node), before, after)


def _remove_source(item: Any) -> Any:
    """Return a record without its source and without empty fields, so that citing another page is not a change.

    Anything else is returned unchanged.
    """
    if not isinstance(item, dict):
        return item
    return {key: value for key, value in item.items() if value and key != "source"}


# Finds the items of a list that are in both contracts with other content.


class _ItemPair(NamedTuple):
    """An item in the lists of both contracts that is the same although its content may have been changed."""

    name: str
    """The name by which the location of a change refers to the item; no other pair of the list has it."""
    old_index: int
    new_index: int


def _pair_items(old_items: Sequence[Any], new_items: Sequence[Any]) -> list[_ItemPair]:
    """Return the items of two lists that are the same: groups of locations, messages of a service, or prices."""
    kinds = (*old_items, *new_items)
    if all(_is_list(item) for item in kinds):
        return _pair_location_groups(old_items, new_items)
    if all("event" in item for item in kinds):
        return _pair_messages(old_items, new_items)
    return _pair_changed_prices(old_items, new_items)


def _pair_location_groups(old_groups: Sequence[list[str]], new_groups: Sequence[list[str]]) -> list[_ItemPair]:
    """Return the old and the new group of each group of locations that has a location in common."""
    pairs: list[_ItemPair] = []
    for old_index, group in enumerate(old_groups):
        taken = {pair.new_index for pair in pairs}
        for new_index, other in enumerate(new_groups):
            if new_index not in taken and set(group) & set(other):
                pairs.append(_ItemPair(str(old_index), old_index, new_index))
                break
    return pairs


def _pair_messages(old_messages: Sequence[dict[str, Any]], new_messages: Sequence[dict[str, Any]]) -> list[_ItemPair]:
    """Return the old and the new description of each message of a service.

    A pair reports the same event and has the same message name, or no other message is left that reports the event,
    because names of messages are never sent.
    """
    pairs = []
    for event in dict.fromkeys(message["event"] for message in old_messages):
        old, new = (
            {index: one["message"] for index, one in enumerate(messages) if one["event"] == event}
            for messages in (old_messages, new_messages)
        )
        # The event alone names the message where no other one reports it, so that a location stays the same if a
        # message is renamed.
        is_only_one = len(old) == len(new) == 1
        for old_index, name in list(old.items()):
            same = next((index for index, other in new.items() if other == name), None)
            if same is not None:
                place = event if is_only_one else f"{event} {name}"
                pairs.append(_ItemPair(place, old_index, same))
                del old[old_index], new[same]
        if len(old) == len(new) == 1:
            (old_index, name), (new_index, _) = *old.items(), *new.items()
            pairs.append(_ItemPair(event if is_only_one else f"{event} {name}", old_index, new_index))
    return _give_unique_names_to_pairs(pairs)


def _pair_changed_prices(old_prices: Sequence[dict[str, Any]], new_prices: Sequence[dict[str, Any]]) -> list[_ItemPair]:
    """Return the old and the new price of each price that differs in its amounts only.

    Two prices are a pair if the same document states them and they agree in all but their amounts
    (`_PATHS_OF_PRICE_AMOUNTS`). If several changed prices agree in this way, it is not known which one became which,
    and none is returned. A pair is named by the label of the part, the document that states the price, or its place in
    the older list.
    """
    old_by_identity, new_by_identity = _index_prices_by_identity(old_prices), _index_prices_by_identity(new_prices)
    pairs = []
    for identity, old_items in old_by_identity.items():
        new_items = new_by_identity.get(identity, {})
        old_indexes = [index for item, index in old_items.items() if item not in new_items]
        new_indexes = [index for item, index in new_items.items() if item not in old_items]
        if len(old_indexes) == len(new_indexes) == 1:
            price = old_prices[old_indexes[0]]
            name = price["part_label"] or _get_name_of_stating_document(price) or str(old_indexes[0])
            pairs.append(_ItemPair(name, old_indexes[0], new_indexes[0]))
    return _give_unique_names_to_pairs(pairs)


def _give_unique_names_to_pairs(pairs: list[_ItemPair]) -> list[_ItemPair]:
    """Return the pairs; to a name that several have, the place in the older list is added."""
    counts = Counter(pair.name for pair in pairs)
    return [pair if counts[pair.name] == 1 else pair._replace(name=f"{pair.name} {pair.old_index}") for pair in pairs]


def _index_prices_by_identity(prices: Sequence[dict[str, Any]]) -> dict[bytes, dict[bytes, int]]:
    """Return the index of each price by what identifies it, and by its canonical JSON."""
    groups: dict[bytes, dict[bytes, int]] = {}
    for index, price in enumerate(prices):
        identity = encode_canonical_json(
            [_get_name_of_stating_document(price), _remove_values_at_paths(price, _PATHS_OF_PRICE_AMOUNTS)]
        )
        groups.setdefault(identity, {})[encode_canonical_json(_remove_source(price))] = index
    return groups


def _get_name_of_stating_document(price: dict[str, Any]) -> str | None:
    return None if price["source"] is None else price["source"]["document_name"]


def _remove_items_at_indexes(items: Sequence[Any], indexes: Container[int]) -> list[Any]:
    return [item for index, item in enumerate(items) if index not in indexes]


def _remove_values_at_paths(record: dict[str, Any], paths: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Return a record without the values at `paths`, sources and empty fields, also inside its records."""
    removed = {path[0] for path in paths if len(path) == 1}
    kept = {}
    for key, value in record.items():
        if key in removed or key == "source":
            continue
        inner = [path[1:] for path in paths if path[0] == key and len(path) > 1]
        kept[key] = _remove_values_at_paths(value, inner) if isinstance(value, dict) else value
    return {key: value for key, value in kept.items() if value}
