"""Compares the `x-` extensions of two contracts by the tables of extension facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.contract.document_parts import ASYNCAPI_KEY, convert_record
from voicegauge.contract.extension.jobs import (
    BatchSpec,
    ChatSpec,
    JobSpec,
    PaginationSpec,
    ResourceSpec,
    StreamSpec,
    SubmitSpec,
    WebhookSpec,
)
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, KeySpec, LimitsSpec, ProviderSpec
from voicegauge.contract.extension.sockets import SocketSpec
from voicegauge.contract.extension.speech import ConversionSpec, SpeechSpec, TranscriptionSpec
from voicegauge.drift._api_part import ApiPart
from voicegauge.drift._document_node import DocumentNode, encode_canonical_json, is_same_json
from voicegauge.drift._extension_fact_kinds import (
    AMOUNT_PATHS,
    PRICING_FACTS,
    B,
    C,
    ComparisonMethod,
    ExtensionFact,
    P,
    build_audio_facts,
    build_choices_fact,
    build_flag_fact,
    build_names_fact,
    build_number_fact,
    build_optional_number_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_required_value_fact,
)
from voicegauge.drift._extension_facts import (
    API_KEY_FACTS,
    CONVERSION_FACTS,
    IDEMPOTENCY_FACTS,
    JOB_FACTS,
    LIMITS_FACTS,
    PAGINATION_FACTS,
    PROVIDER_FACTS,
    RESOURCE_FACTS,
    SOCKET_FACTS,
    SUBMIT_FACTS,
    TARGET_FACTS,
    TRANSCRIPTION_FACTS,
    WEBHOOK_FACTS,
)
from voicegauge.drift._schema_comparison import compare_schemas
from voicegauge.drift.drift_report import DriftChange
from voicegauge.formats.locations import MISSING, encode_location

SPEECH_FACTS = (
    build_presence_fact("", "speech", "The speech synthesis of the operation (x-speech)", (C, B)),
    build_names_fact("request_fields", "speech-parameter", "A parameter of speech requests", (C, B)),
    build_required_value_fact(
        "request_fields/*/location", "speech-parameter-location", "The location of a parameter in the request", B
    ),
    build_required_value_fact(
        "request_fields/*/text_template", "speech-parameter-template", "The template of a parameter's value", P
    ),
    build_names_fact(
        "request_fields/*/provider_values",
        "speech-parameter-value",
        "The provider's name for a value of a parameter",
        (C, P),
    ),
    build_required_value_fact(
        "request_fields/*/provider_values/*",
        "speech-parameter-value",
        "The provider's name for a value of a parameter",
        P,
    ),
    build_presence_fact("request_fields/*/markup_language", "speech-markup", "The markup of the text", (B, B)),
    build_flag_fact(
        "request_fields/*/is_seed_reproducible", "speech-seed-kept", "The same seed {} gives the same audio", (C, P)
    ),
    build_optional_value_fact(
        "response/status_operation_id", "speech-job-call", "The operation that returns the status of the job", (B, B, B)
    ),
    build_presence_fact(
        "response/wait_preference", "speech-wait", "The wait for the end of the job in the response", (C, B)
    ),
    build_required_value_fact(
        "response/wait_preference/location", "speech-wait-location", "The location of the wait in the request", B
    ),
    build_required_value_fact(
        "response/wait_preference/preference", "speech-wait-value", "The value that asks to wait", B
    ),
    build_number_fact(
        "response/wait_preference/max_wait_s", "speech-wait-time", "The maximum wait for the end of the job", (C, P)
    ),
    build_presence_fact("response/audio", "speech-audio", "Audio in the response", (C, B)),
    *build_audio_facts("response/audio", "speech-audio"),
    build_optional_value_fact(
        "response/charge_location", "speech-charged-location", "The location of the charge", (C, P, P)
    ),
    build_optional_value_fact(
        "response/balance_location", "speech-balance-location", "The location of the remaining balance", (C, P, P)
    ),
    build_names_fact("formats", "speech-format-meaning", "The meaning of an audio format", (C, P)),
    build_required_value_fact("formats/*/codec", "speech-format-codec", "The codec of an audio format", B),
    build_optional_value_fact(
        "formats/*/sample_rate_hz", "speech-format-sample-rate", "The sample rate of an audio format", (C, P, B)
    ),
    build_optional_value_fact(
        "formats/*/bitrate_kbps", "speech-format-bit-rate", "The bit rate of an audio format", (C, P, P)
    ),
    build_required_value_fact("formats/*/channels", "speech-format-channels", "The channels of an audio format", B),
    build_names_fact(
        "formats/*/codec_by_container", "speech-format-container", "A container of an audio format", (C, B)
    ),
    *TARGET_FACTS,
    build_optional_value_fact(
        "targets/*/response_model_name", "target-model", "The name of a target's model in responses", (C, P, P)
    ),
    build_names_fact(
        "targets/*/default_voice_by_language", "target-language-voice", "The default voice of a language", (C, P)
    ),
    build_required_value_fact(
        "targets/*/default_voice_by_language/*", "target-language-voice", "The default voice of a language", P
    ),
    build_optional_value_fact(
        "targets/*/default_voice_description",
        "target-voice-description",
        "The default voice description of a target",
        (C, P, P),
    ),
    build_optional_value_fact(
        "targets/*/default_voice_sample_url", "target-voice-sample", "The default voice sample of a target", (C, P, P)
    ),
    build_names_fact(
        "targets/*/request_fields", "target-parameter", "A parameter that a target describes on its own", (P, P)
    ),
    build_required_value_fact(
        "targets/*/request_fields/*/location", "target-parameter-location", "The location of a parameter of a target", B
    ),
    build_required_value_fact(
        "targets/*/request_fields/*/text_template",
        "target-parameter-template",
        "The template of a target's parameter",
        P,
    ),
    build_names_fact(
        "targets/*/request_fields/*/provider_values",
        "target-parameter-value",
        "A target's name for a value of a parameter",
        (C, P),
    ),
    build_required_value_fact(
        "targets/*/request_fields/*/provider_values/*",
        "target-parameter-value",
        "A target's name for a value of a parameter",
        P,
    ),
    build_presence_fact(
        "targets/*/request_fields/*/markup_language", "target-markup", "The markup of a target's text", (B, B)
    ),
    build_names_fact("targets/*/required_fields", "target-need", "A required parameter of a target", (B, C)),
    build_optional_value_fact(
        "targets/*/default_format", "target-default-format", "The default audio format of a target", (C, P, P)
    ),
    build_choices_fact("targets/*/supported_formats", "target-format", "An audio format of a target"),
    build_optional_number_fact(
        "targets/*/recommended_max_characters",
        "target-text-length",
        "The recommended maximum text length",
        (C, P, P, C),
    ),
    build_optional_value_fact(
        "targets/*/request_media_type", "target-media-type", "The media type of a target's requests", (P, P, B)
    ),
    build_presence_fact(
        "targets/*/response_audio", "target-audio", "The kind of response that a target selects", (B, B)
    ),
    *build_audio_facts("targets/*/response_audio", "target-audio"),
    build_flag_fact("targets/*/works_without_key", "target-keyless", "A target {} works without a key", (C, B)),
)
"""The facts of `x-speech` that are compared, with the levels of their changes."""

STREAM_FACTS = (
    build_presence_fact("", "stream", "The event stream of the response (x-stream)", (B, B)),
    build_required_value_fact("framing", "stream-framing", "The way in which events are separated", B),
    build_optional_value_fact("media_type", "stream-media-type", "The media type of a stream", (P, P, B)),
    build_required_value_fact("event_type_location", "stream-kind-location", "The location of an event's type", B),
    build_optional_value_fact(
        "events/*/identifying_location", "stream-event-mark", "The value that tells the type of an event", (C, P, B)
    ),
    build_flag_fact("ends_with_response", "stream-end-unmarked", "A stream {} ends without a final event", (B, P)),
    build_names_fact("events", "stream-event", "An event type", (P, P)),
    build_names_fact("events/*/successor_names", "stream-order", "An event type that may follow another", (P, C)),
    build_optional_value_fact(
        "events/*/terminal_outcome", "stream-end", "The outcome of a stream that an event ends", (B, B, B)
    ),
    build_presence_fact("events/*/data_schema", "stream-data", "The schema of an event's data", (C, P)),
    build_required_value_fact("audio/event_type", "stream-audio-event", "The event that has the audio", B),
    build_required_value_fact("audio/location", "stream-audio-location", "The location of the audio in its event", B),
    build_required_value_fact("audio/encoding", "stream-audio-encoding", "The encoding of the audio", B),
    build_optional_value_fact(
        "audio/sequence_number_location",
        "stream-index-location",
        "The location of the sequence number of an event",
        (C, P, P),
    ),
    build_names_fact("audio/timestamps", "stream-timestamps", "The timestamps of characters or words", (C, B)),
    build_optional_value_fact("end_marker", "stream-marker", "The marker at the end of a stream", (P, B, B)),
    build_optional_value_fact(
        "failure_reason_location", "stream-reason-location", "The location of the failure reason", (C, P, P)
    ),
    build_optional_number_fact("max_gap_s", "stream-gap", "The maximum gap between events", (P, C, P, C)),
)
"""The facts of `x-stream` that are compared, with the levels of their changes."""

BATCH_FACTS = (
    build_presence_fact("", "batch", "The batch of requests of the operation (x-batch)", (C, B)),
    build_required_value_fact("requests_location", "batch-items-location", "The location of the list of requests", B),
    build_required_value_fact(
        "item_operation_id", "batch-call", "The operation that each request of a batch is for", P
    ),
    build_required_value_fact("jobs_location", "batch-results-location", "The location of the list of jobs", B),
    build_required_value_fact("job_id_field", "batch-job-key", "The name of the job id in the list of jobs", B),
    build_optional_value_fact("index_field", "batch-index-key", "The name of the index in the list of jobs", (C, P, P)),
    build_optional_value_fact(
        "state_field", "batch-state-key", "The name of the job state in the list of jobs", (C, P, B)
    ),
    build_optional_value_fact(
        "charge_field", "batch-charged-key", "The name of the charge in the list of jobs", (C, P, P)
    ),
    build_optional_value_fact(
        "audio_url_field", "batch-url-key", "The name of the audio URL in the list of jobs", (C, P, B)
    ),
    build_optional_value_fact(
        "total_count_location", "batch-total-location", "The location of the number of jobs", (C, P, P)
    ),
    build_optional_value_fact(
        "ended_count_location", "batch-completed-location", "The location of the number of ended jobs", (C, P, P)
    ),
)
"""The facts of `x-batch` that are compared, with the levels of their changes."""

CHAT_FACTS = (
    build_presence_fact("", "chat", "The spoken chat of the operation (x-chat)", (C, B)),
    build_required_value_fact("text_location", "chat-text-location", "The location of the user's message as text", B),
    build_optional_value_fact(
        "audio_location", "chat-recording-location", "The location of the user's message as audio", (C, B, B)
    ),
    build_optional_value_fact(
        "transcript_location",
        "chat-transcript-location",
        "The location of the transcript of the user's message",
        (C, P, P),
    ),
    build_required_value_fact("reply_text_location", "chat-reply-location", "The location of the reply text", B),
    *build_audio_facts("reply_audio", "chat-audio"),
    build_optional_value_fact(
        "voice_location", "chat-voice-location", "The location of the voice of the reply", (C, B, B)
    ),
    build_optional_value_fact("charge_location", "chat-charged-location", "The location of the charge", (C, P, P)),
)
"""The facts of `x-chat` that are compared, with the levels of their changes."""


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
"""The extensions of an operation that are compared."""
_CHANNEL_EXTENSIONS: _FactsByExtensionKey = {"x-socket": (SocketSpec, SOCKET_FACTS)}
"""The extensions of a channel of an AsyncAPI document that are compared."""
_DOCUMENT_EXTENSIONS: _FactsByExtensionKey = {
    "x-provider": (ProviderSpec, PROVIDER_FACTS),
    "x-limits": (LimitsSpec, LIMITS_FACTS),
}
"""The extensions at the top of a document that are compared."""
_EXTENSION_KEYS_WITH_DEFAULT = ("x-limits", "x-key")
"""Keys of extensions that are compared as if they had their default values if one contract lacks them. Each limit or
other value that only one contract states is thus reported as a separate change."""
_SECURITY_SCHEME_EXTENSIONS: _FactsByExtensionKey = {"x-key": (KeySpec, API_KEY_FACTS)}
"""The extensions of a security scheme that are compared."""


def iterate_extension_facts() -> Iterator[ExtensionFact]:
    """Yield the definition of each fact that is compared in an `x-` extension: its path, its rules and their levels.

    The definitions contain no values of a contract. `x-limits` may be both at an operation and at the top of a
    contract, so its facts are yielded twice.
    """
    for extensions in (
        *(_DOCUMENT_EXTENSIONS, _SECURITY_SCHEME_EXTENSIONS, _OPERATION_EXTENSIONS),
        _CHANNEL_EXTENSIONS,
    ):
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

    def get_item(self, index: int) -> _LocatedValue:
        return _LocatedValue(self.value[index], self.node.get_child(index))


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


def compare_channel_extensions(
    api_part: ApiPart,
    old_node: DocumentNode,
    new_node: DocumentNode,
    old_and_new_root: tuple[DocumentNode, DocumentNode],
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
    if fact.comparison_method in ("names", "pairs", "choices"):
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
    has_own_facts = comparison_method == "value" and isinstance(old_value, dict)
    return "" if has_own_facts or is_same_json(old_value, new_value) else "changed"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_scalar(value: Any) -> bool:
    return value is not MISSING and not isinstance(value, dict | list)


def _compare_name_lists(
    api_part: ApiPart, fact: ExtensionFact, old_value: _LocatedValue, new_value: _LocatedValue
) -> Iterator[DriftChange]:
    old_names, new_names = old_value.value, new_value.value
    if fact.comparison_method == "pairs" and _is_list(old_names) and _is_list(new_names):
        pairs = _pair_items(old_names, new_names)
        old_names = _remove_items(old_names, {pair.old_index for pair in pairs})
        new_names = _remove_items(new_names, {pair.new_index for pair in pairs})
    before, after = _map_names_by_canonical_json(old_names), _map_names_by_canonical_json(new_names)
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
    return {} if value is MISSING else {_encode_item(item): _remove_source(item) for item in value}


def _encode_item(item: Any) -> bytes:
    return encode_canonical_json(_remove_source(item))


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
    return _give_unique_names(pairs)


def _pair_changed_prices(old_prices: Sequence[dict[str, Any]], new_prices: Sequence[dict[str, Any]]) -> list[_ItemPair]:
    """Return the old and the new price of each price that differs in its amounts only.

    Two prices are a pair if the same document states them and they agree in all but their amounts (`AMOUNT_PATHS`).
    If several changed prices agree in this way, it is not known which one became which, and none is returned. A pair
    is named by the label of the part, the document that states the price, or its place in the older list.
    """
    old_by_identity, new_by_identity = _group_by_identity(old_prices), _group_by_identity(new_prices)
    pairs = []
    for identity, old_items in old_by_identity.items():
        new_items = new_by_identity.get(identity, {})
        old_indexes = [index for item, index in old_items.items() if item not in new_items]
        new_indexes = [index for item, index in new_items.items() if item not in old_items]
        if len(old_indexes) == len(new_indexes) == 1:
            price = old_prices[old_indexes[0]]
            name = price["part_label"] or _get_document_name(price) or str(old_indexes[0])
            pairs.append(_ItemPair(name, old_indexes[0], new_indexes[0]))
    return _give_unique_names(pairs)


def _give_unique_names(pairs: list[_ItemPair]) -> list[_ItemPair]:
    """Return the pairs; to a name that several have, the place in the older list is added."""
    counts = Counter(pair.name for pair in pairs)
    return [pair if counts[pair.name] == 1 else pair._replace(name=f"{pair.name} {pair.old_index}") for pair in pairs]


def _group_by_identity(prices: Sequence[dict[str, Any]]) -> dict[bytes, dict[bytes, int]]:
    """Return the index of each price by what identifies it, and by its canonical JSON."""
    groups: dict[bytes, dict[bytes, int]] = {}
    for index, price in enumerate(prices):
        identity = encode_canonical_json([_get_document_name(price), _remove_paths(price, AMOUNT_PATHS)])
        groups.setdefault(identity, {})[_encode_item(price)] = index
    return groups


def _get_document_name(price: dict[str, Any]) -> str | None:
    return None if price["source"] is None else price["source"]["document_name"]


def _remove_items(items: Sequence[Any], indexes: Container[int]) -> list[Any]:
    return [item for index, item in enumerate(items) if index not in indexes]


def _remove_paths(record: dict[str, Any], paths: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Return a record without the values at `paths`, sources and empty fields, also inside its records."""
    removed = {path[0] for path in paths if len(path) == 1}
    kept = {}
    for key, value in record.items():
        if key in removed or key == "source":
            continue
        inner = [path[1:] for path in paths if path[0] == key and len(path) > 1]
        kept[key] = _remove_paths(value, inner) if isinstance(value, dict) else value
    return {key: value for key, value in kept.items() if value}
