"""Facts about operations that take audio."""

from __future__ import annotations

from voicegauge.drift.contracts.extension_facts.audio_and_price_facts import build_audio_facts, build_price_facts
from voicegauge.drift.contracts.extension_facts.extension_fact import (
    B,
    C,
    P,
    build_choices_fact,
    build_names_fact,
    build_optional_value_fact,
    build_presence_fact,
    build_required_value_fact,
)

AUDIO_INPUT_FACTS = (
    build_names_fact("request", "audio-input-parameter", "A parameter of requests with audio input", (C, B)),
    build_required_value_fact(
        "request/*/at", "audio-input-parameter-location", "The location of a parameter in requests with audio input", B
    ),
    build_names_fact(
        "request/*/map", "audio-input-parameter-value", "The provider's name for a value of a parameter", (C, P)
    ),
    build_required_value_fact(
        "request/*/map/*", "audio-input-parameter-value", "The provider's name for a value of a parameter", P
    ),
    build_optional_value_fact(
        "response/charged", "audio-input-charged-location", "The location of the charge", (C, P, P)
    ),
    build_names_fact("targets", "target", "A target", (C, B)),
    build_names_fact("targets/*/constants", "target-constant", "A constant in the requests of a target", (B, B)),
    build_required_value_fact("targets/*/constants/*", "target-constant", "A constant in the requests of a target", B),
    build_optional_value_fact("targets/*/voice", "target-voice", "The default voice of a target", (C, P, P)),
    build_optional_value_fact(
        "targets/*/language", "target-default-language", "The default language of a target", (C, P, P)
    ),
    build_choices_fact("targets/*/languages", "target-language", "A language of a target"),
    *build_price_facts("targets/*/pricing"),
)

TRANSCRIPTION_FACTS = (
    build_presence_fact("", "transcription", "The transcription of the operation (x-transcription)", (C, B)),
    build_required_value_fact("response/text", "transcript-location", "The location of the transcript", B),
    build_optional_value_fact(
        "response/language", "transcript-language-location", "The location of the detected language", (C, P, P)
    ),
    build_optional_value_fact(
        "response/audio_s", "transcript-length-location", "The location of the audio duration", (C, P, P)
    ),
    build_optional_value_fact(
        "response/segments", "transcript-segments-location", "The location of the segments", (C, B, B)
    ),
    *(
        build_required_value_fact(
            f"response/segment/{key}", "transcript-segment-key", "The name of a field of a segment", B
        )
        for key in ("start", "end", "text")
    ),
    *(
        build_optional_value_fact(
            f"response/segment/{key}", f"transcript-{key}", f"The field {key} of a segment", (C, P, B)
        )
        for key in ("speaker", "words")
    ),
    *AUDIO_INPUT_FACTS,
)

CONVERSION_FACTS = (
    build_presence_fact("", "conversion", "The audio conversion of the operation (x-conversion)", (C, B)),
    build_required_value_fact("purpose", "conversion-purpose", "The purpose of a conversion", B),
    build_presence_fact("response/audio", "conversion-audio", "Audio in the response", (C, B)),
    *build_audio_facts("response/audio", "conversion-audio"),
    build_presence_fact("response/stems", "conversion-stems", "The list of stems in the response", (C, B)),
    build_required_value_fact("response/stems/at", "conversion-stems-location", "The location of the stems", B),
    build_required_value_fact("response/stems/name", "conversion-stem-key", "The name of a field of a stem", B),
    build_required_value_fact("response/stems/url", "conversion-stem-key", "The name of a field of a stem", B),
    build_optional_value_fact(
        "response/stems/download", "conversion-stems-download", "The operation that a stem URL belongs to", (C, P, P)
    ),
    build_names_fact("response/facts", "conversion-fact", "An audio property in the response", (C, B)),
    build_required_value_fact(
        "response/facts/*", "conversion-fact-location", "The location of a property of the audio in the response", B
    ),
    *AUDIO_INPUT_FACTS,
)
