"""Compares the `x-` extensions of two contracts by the tables of extension facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.contract.extension.audio_input import ConversionSpec, TranscriptionSpec
from voicegauge.contract.extension.jobs import JobSpec, StreamSpec, SubmitSpec, WebhookSpec
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, KeySpec, LimitsSpec, ProviderSpec
from voicegauge.contract.extension.resources import BatchSpec, ChatSpec, PaginationSpec, ResourceSpec
from voicegauge.contract.extension.speech import SpeechSpec
from voicegauge.contract.record_reader import convert_record
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, encode_canonical_json, is_same_json
from voicegauge.drift._extension_fact_kinds import PRICING_FACTS, ComparisonMethod, ExtensionFact
from voicegauge.drift._extension_facts import (
    API_KEY_FACTS,
    CONVERSION_FACTS,
    IDEMPOTENCY_FACTS,
    JOB_FACTS,
    LIMITS_FACTS,
    PAGINATION_FACTS,
    PROVIDER_FACTS,
    RESOURCE_FACTS,
    SUBMIT_FACTS,
    TRANSCRIPTION_FACTS,
    WEBHOOK_FACTS,
)
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift._speech_extension_facts import BATCH_FACTS, CHAT_FACTS, SPEECH_FACTS, STREAM_FACTS
from voicegauge.drift.report import DriftChange
from voicegauge.formats.locations import MISSING, encode_location

_FactsByExtensionKey = Mapping[str, tuple[type[Any], Sequence[ExtensionFact]]]
"""For each `x-` key: the class of the record that its value is read as, and the facts that are compared."""

_OPERATION_EXTENSIONS: _FactsByExtensionKey = {
    "x-speech": (SpeechSpec, SPEECH_FACTS),
    "x-job": (JobSpec, JOB_FACTS),
    "x-stream": (StreamSpec, STREAM_FACTS),
    "x-webhook": (WebhookSpec, WEBHOOK_FACTS),
    "x-idempotency": (IdempotencySpec, IDEMPOTENCY_FACTS),
    "x-submit": (SubmitSpec, SUBMIT_FACTS),
    "x-resource": (ResourceSpec, RESOURCE_FACTS),
    "x-pagination": (PaginationSpec, PAGINATION_FACTS),
    "x-batch": (BatchSpec, BATCH_FACTS),
    "x-chat": (ChatSpec, CHAT_FACTS),
    "x-transcription": (TranscriptionSpec, TRANSCRIPTION_FACTS),
    "x-conversion": (ConversionSpec, CONVERSION_FACTS),
    "x-pricing": (PriceSpec, PRICING_FACTS),
    "x-limits": (LimitsSpec, LIMITS_FACTS),
}
_DOCUMENT_EXTENSIONS: _FactsByExtensionKey = {
    "x-provider": (ProviderSpec, PROVIDER_FACTS),
    "x-limits": (LimitsSpec, LIMITS_FACTS),
}
_EXTENSION_KEYS_WITH_DEFAULT = ("x-limits", "x-key")
"""Keys of extensions that are compared as if they had their default values if one contract lacks them. Each limit or
other value that only one contract states is thus reported as a separate change."""
_SECURITY_SCHEME_EXTENSIONS: _FactsByExtensionKey = {"x-key": (KeySpec, API_KEY_FACTS)}


def iterate_extension_facts() -> Iterator[ExtensionFact]:
    """Yield the definition of each fact that is compared in an `x-` extension: its path, its rules and their levels.

    The definitions contain no values of a contract. `x-limits` may be in two places of a contract, so its facts are
    yielded twice.
    """
    for extensions in (_DOCUMENT_EXTENSIONS, _SECURITY_SCHEME_EXTENSIONS, _OPERATION_EXTENSIONS):
        for _, facts in extensions.values():
            yield from facts


class _LocatedValue(NamedTuple):
    """A value in the older or the newer contract, with the node of the contract at which it is."""

    value: Any
    """The value; `MISSING` if the contract does not document it."""
    node: DocumentNode
    """The node at which the value is; if the value is missing, the node at which it would be."""

    def get_child(self, key: str) -> _LocatedValue:
        value = self.value.get(key)
        return _LocatedValue(MISSING if value is None else value, self.node.get_child(key))


def compare_operation_extensions(
    api_part: ApiPart,
    old_node: DocumentNode,
    new_node: DocumentNode,
    old_and_new_root: tuple[DocumentNode, DocumentNode],
) -> Iterator[DriftChange]:
    """Yield every change of an operation's extensions, or nothing if either document is not a voicegauge contract.

    Raises:
        ContractError: an extension is not valid.
    """
    if all(root.get_child("x-provider").exists for root in old_and_new_root):
        yield from _compare_extensions(api_part, old_node, new_node, _OPERATION_EXTENSIONS)
        streams = (node.get_child("x-stream").resolve_references() for node in (old_node, new_node))
        yield from _compare_event_schemas(api_part.create_nested_part("x-stream"), *streams)


def compare_document_extensions(
    api_part: ApiPart, old_node: DocumentNode, new_node: DocumentNode
) -> Iterator[DriftChange]:
    """Yield every change of a document's own extensions, or nothing if either document is not a voicegauge contract.

    Raises:
        ContractError: an extension is not valid.
    """
    if old_node.get_child("x-provider").exists and new_node.get_child("x-provider").exists:
        yield from _compare_extensions(api_part, old_node, new_node, _DOCUMENT_EXTENSIONS)
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
    facts_by_extension_key: _FactsByExtensionKey,
) -> Iterator[DriftChange]:
    for key, (record_type, facts) in facts_by_extension_key.items():
        if MISSING is old_node.get_value(key, MISSING) is new_node.get_value(key, MISSING):
            continue
        before, after = (
            _read_extension(node.get_child(key).resolve_references(), key, record_type) for node in (old_node, new_node)
        )
        if before.value is after.value or (
            MISSING not in (before.value, after.value) and is_same_json(before.value, after.value)
        ):
            continue
        for fact in facts:
            keys = fact.fact_path.split("/") if fact.fact_path else []
            yield from _compare_fact(api_part.create_nested_part(key), fact, keys, before, after)


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

    The key `*` stands for every key that both contracts have.
    """
    if not remaining_keys:
        yield from _compare_fact_values(api_part, fact, old_value, new_value)
        return
    key, remaining = remaining_keys[0], remaining_keys[1:]
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
    if fact.comparison_method in ("names", "choices"):
        yield from _compare_name_lists(api_part, fact, old_value, new_value)
        return
    difference = _classify_difference(fact.comparison_method, old_value.value, new_value.value)
    if difference in fact.level_by_difference:
        shown = {
            side: located_value.value
            for side, located_value in (("old", old_value), ("new", new_value))
            if _is_scalar(located_value.value)
        }
        yield api_part.build_change(f"{fact.rule_id_prefix}-{difference}", old_value.node, new_value.node, **shown)


def _classify_difference(comparison_method: ComparisonMethod, old_value: Any, new_value: Any) -> str:
    """Return the word for the difference between two values, such as "increased"; empty if there is no difference.

    The ids of the rules end with this word.
    """
    if comparison_method == "flag":  # a flag that is not documented is false
        return "" if (old_value is True) == (new_value is True) else "began" if new_value is True else "ended"
    if old_value is MISSING or new_value is MISSING:
        appeared, disappeared = ("set", "unset") if comparison_method == "number" else ("added", "removed")
        return "" if old_value is new_value else appeared if old_value is MISSING else disappeared
    if comparison_method == "number":
        return "" if old_value == new_value else "increased" if new_value > old_value else "decreased"
    # The content of a mapping has rows for its own facts.
    return "" if isinstance(old_value, dict) or is_same_json(old_value, new_value) else "changed"


def _is_scalar(value: Any) -> bool:
    return value is not MISSING and not isinstance(value, dict | list)


def _compare_name_lists(
    api_part: ApiPart, fact: ExtensionFact, old_value: _LocatedValue, new_value: _LocatedValue
) -> Iterator[DriftChange]:
    before, after = _map_names_by_canonical_json(old_value.value), _map_names_by_canonical_json(new_value.value)
    if fact.comparison_method == "choices" and bool(before) != bool(after):
        difference, side = ("set", "new") if after else ("unset", "old")
        values = {side: list((after or before).values())}
        yield api_part.build_change(f"{fact.rule_id_prefix}-{difference}", old_value.node, new_value.node, **values)
        return
    for key in dict.fromkeys((*before, *after)):
        if key not in after:
            yield api_part.build_change(
                f"{fact.rule_id_prefix}-removed", old_value.node, new_value.node, old=before[key]
            )
        elif key not in before:
            yield api_part.build_change(f"{fact.rule_id_prefix}-added", old_value.node, new_value.node, new=after[key])


def _map_names_by_canonical_json(value: Any) -> dict[bytes, Any]:
    """Return the items of a list, or the keys of a mapping, by their canonical JSON; an empty result for `MISSING`.

    Items that are mappings are returned without their sources and empty fields.
    """
    if value is MISSING:
        return {}
    names = [_remove_source_and_empty_fields(item) if isinstance(item, dict) else item for item in value]
    return {encode_canonical_json(name): name for name in names}


def _remove_source_and_empty_fields(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without its source and without empty fields, so that citing another page is not a change."""
    return {key: value for key, value in record.items() if value and key != "source"}
