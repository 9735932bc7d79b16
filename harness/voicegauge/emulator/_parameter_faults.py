"""Faults that ignore or misread parameters of a request."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.speech import SpeechField
from voicegauge.emulator._fault import Fault, SpeechFieldChanger
from voicegauge.emulator._request import ParsedRequest, find_default_value, has_default_value
from voicegauge.emulator._speech_synthesis import SynthesisRequest
from voicegauge.formats.locations import MISSING

_MAX_CHARACTERS_OF_CUT_TEXT = 60
"""Maximum number of characters that are spoken of a text. A usual text of a check has fewer characters, but more than
half as many."""


def create_field_ignorer(ignored_field_name: SpeechField) -> SpeechFieldChanger:
    """Return a function that makes the emulator ignore a field: it replaces the value by the documented default."""

    def replace_ignored_field_by_default(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
        mapping = target.speech.request_fields.get(field)
        return (
            find_default_value(request, mapping.location)
            if field == ignored_field_name and mapping is not None
            else value
        )

    return replace_ignored_field_by_default


def change_default_format(request: ParsedRequest, target: Target, field: SpeechField, value: Any) -> Any:
    """Deliver another format than the documented default to requests that name none."""
    mapping = target.speech.request_fields.get(field)
    if field != "format" or mapping is None or request.read_value(mapping.location) not in (MISSING, None):
        return value
    documented_format = (
        target.find_audio_format(mapping.provider_values.get(value, value)) if isinstance(value, str) else None
    )
    codec = documented_format.codec if documented_format is not None else value
    return "wav" if codec != "wav" else "mp3"


def documents_default_format(target: Target) -> bool:
    """Whether a target documents the format of requests that name none."""
    mapping = target.speech.request_fields.get("format")
    return mapping is not None and has_default_value(target.operation, mapping.location)


def create_has_field_predicate(field: SpeechField) -> Callable[[Target], bool]:
    """Return a predicate that tells whether requests to a target can have `field`."""
    return lambda target: field in target.speech.request_fields


def accepts_markup(target: Target) -> bool:
    """Whether the text in requests to a target has markup."""
    return target.speech.request_fields["text"].markup_language is not None


def offers_several_languages(target: Target) -> bool:
    """Whether a target documents several languages to choose from."""
    return "language" in target.speech.request_fields and len(target.target_spec.supported_languages) > 1


def create_offers_format_predicate(codec: str) -> Callable[[Target], bool]:
    """Return a predicate that tells whether a target documents several formats, one of them with this codec."""

    def applies_to(target: Target) -> bool:
        known = target.speech.formats
        codecs = {known[name].codec if name in known else name for name in target.target_spec.supported_formats}
        return (
            "format" in target.speech.request_fields
            and len(target.target_spec.supported_formats) > 1
            and codec in codecs
        )

    return applies_to


def cut_long_text(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak only the beginning of a long text."""
    return msgspec.structs.replace(synthesis, text=synthesis.text[:_MAX_CHARACTERS_OF_CUT_TEXT])


def reverse_words_in_flac(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak the words in reverse order if the format is FLAC. They take as long as in the right order."""
    if synthesis.audio_format != "flac":
        return synthesis
    return msgspec.structs.replace(synthesis, text=" ".join(reversed(synthesis.text.split())))


def create_speed_variation() -> Callable[[SynthesisRequest], SynthesisRequest]:
    """Return a function that makes every second synthesis a little faster, as a model without a fixed seed may do."""
    counter = itertools.count()

    def vary_speed(synthesis: SynthesisRequest) -> SynthesisRequest:
        faster = round(synthesis.words_per_minute * 1.08)
        return msgspec.structs.replace(synthesis, words_per_minute=faster) if next(counter) % 2 else synthesis

    return vary_speed


def has_constant_selecting_response_kind(target: Target) -> bool:
    """Whether the contract states, for this target alone, how responses carry audio.

    The target's constants (fixed values in requests) then select this way of carrying audio.
    """
    return target.target_spec.response_audio is not None


def promises_reproducible_speech(target: Target) -> bool:
    """Whether the provider's documentation promises the same audio for the same seed."""
    mapping = target.speech.request_fields.get("seed")
    return mapping is not None and mapping.is_seed_reproducible


def repeat_text_in_flac(synthesis: SynthesisRequest) -> SynthesisRequest:
    """Speak the text twice if the format is FLAC."""
    if synthesis.audio_format != "flac":
        return synthesis
    return msgspec.structs.replace(synthesis, text=f"{synthesis.text} {synthesis.text}")


PARAMETER_FAULTS = (
    Fault(
        id="speed-ignored",
        description="The speed parameter has no effect.",
        change_speech_field=create_field_ignorer("speed"),
        applies_to=create_has_field_predicate("speed"),
    ),
    Fault(
        id="voice-ignored",
        description="Every voice sounds like the default one.",
        change_speech_field=create_field_ignorer("voice"),
        applies_to=create_has_field_predicate("voice"),
    ),
    Fault(
        id="language-ignored",
        description="The language parameter has no effect.",
        change_speech_field=create_field_ignorer("language"),
        applies_to=offers_several_languages,
    ),
    Fault(
        id="seed-ignored",
        description="The seed parameter has no effect.",
        change_speech_field=create_field_ignorer("seed"),
        applies_to=create_has_field_predicate("seed"),
    ),
    Fault(
        id="seed-not-kept",
        description="The same seed gives other audio the next time.",
        change_synthesis=create_speed_variation(),
        applies_to=promises_reproducible_speech,
    ),
    Fault(
        id="format-changes-words",
        description="Other words of about the same duration are spoken in FLAC.",
        change_synthesis=reverse_words_in_flac,
        applies_to=create_offers_format_predicate("flac"),
    ),
    Fault(
        id="format-changes-text",
        description="The text is spoken twice in FLAC.",
        change_synthesis=repeat_text_in_flac,
        applies_to=create_offers_format_predicate("flac"),
    ),
    Fault(
        id="default-format-changed",
        description="A request without a format gets another one than the documented default.",
        change_speech_field=change_default_format,
        applies_to=documents_default_format,
    ),
    Fault(
        id="long-text-cut",
        description="Only the beginning of a long text is spoken.",
        change_synthesis=cut_long_text,
    ),
    Fault(
        id="markup-spoken",
        description="The tags in a text with markup are spoken.",
        skipped_check="markup",
        applies_to=accepts_markup,
    ),
    Fault(
        id="accepts-invalid",
        description="Requests that violate the documented schema are accepted.",
        skipped_check="request",
    ),
    Fault(
        id="ignores-filters",
        description="Lists are returned unfiltered.",
        skipped_check="filters",
        applies_to=lambda target: any(
            parameter.message_part == "query" and not parameter.is_required
            for operation in target.contract.operations.values()
            for parameter in operation.parameters
        ),
    ),
    Fault(
        id="accepts-too-many",
        description="Requests with more list items than documented are accepted.",
        skipped_check="items",
    ),
    Fault(
        id="response-kind-ignored",
        description="A request field that selects a stream of events or audio alone has no effect.",
        skipped_check="response-kind",
        applies_to=has_constant_selecting_response_kind,
    ),
)
