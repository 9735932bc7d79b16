"""Speaks texts with espeak-ng as a target of a contract would, and times their characters and words."""

from __future__ import annotations

import asyncio
import bisect
import math
import re
import xml.etree.ElementTree as ET
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.speech import AudioFormat, FieldMapping, ResponseAudio, SpeechField
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output_audio import choose_deliverable_format, encode_output, find_audio_format_name
from voicegauge.emulator._request import ParsedRequest, Rejection, find_default_value, reject_undocumented_value
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Record
from voicegauge.speech.encoding import DEFAULT_BITRATE_KBPS
from voicegauge.speech.espeak import (
    MAX_SPOKEN_TEXT_CHARACTERS,
    SpokenWord,
    guess_language,
    has_voice_for,
    list_voice_variants,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DEFAULT_ESPEAK_VARIANT = "klatt3"
"""The espeak-ng variant of every target for which the contract sets none.

All targets have the same variant, because different variants would make targets differ in intelligibility as if their
services did. Of seven variants that were tried, this one had the lowest error rate, by a small margin (0.274 against
0.28 to 0.30).
"""
MAX_VOICE_PITCH_OFFSET = 9
"""Largest difference between the pitch of another voice and that of the default voice, on espeak-ng's scale from 0 to
99. The difference makes voices distinguishable. The default voices of all targets have the same pitch: one that depends
on their names would make targets differ in intelligibility."""
MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 4000, 192_000
"""The lowest and the highest sample rate of speech, in hertz, whatever a request asks for."""
MAX_CACHED_AUDIO_FILES = 64
"""Maximum number of cached audio files. There is a cache because the audio of a job is often downloaded repeatedly."""
_CUT_OFF_WORD_LEAD_S = 0.001
"""Time in seconds before the end of the audio at which words that a fault cuts off are stated to begin and end."""
_NOISE_LEVEL = 0.1
"""RMS of the noise that replaces speech: -20 dBFS, as loud as speech."""


_TAG_CHARACTER_PATTERN = re.compile(r"[<>/=\"]")
"""Matches the characters that delimit markup tags. They are not spoken."""
_ANY_MEDIA_TYPE = "*/*"
"""Value of the Accept header that HTTP clients send by default."""
AUTOMATIC_LANGUAGE = "auto"
"""Value of language fields that asks the provider to detect the language."""
FALLBACK_LANGUAGE = "en"
"""Language of texts in Latin script if the target has no default language that espeak-ng speaks."""


class SynthesisRequest(Record, frozen=True, kw_only=True):
    """Everything that determines the bytes of synthesized audio."""

    text: str
    """The text to speak, without markup."""
    language: str
    """Tag of the language that is spoken, such as "en" or "pt-BR"."""
    espeak_variant: str
    """Name of the espeak-ng voice variant that speaks, such as "f2"."""
    words_per_minute: int
    """Speaking rate."""
    pitch: int
    """Pitch of the voice on the scale of espeak-ng, from 0 to 99."""
    sample_rate_hz: int
    leading_silence_s: float
    """Duration in seconds of the silence before the speech."""
    audio_format: str
    """Name of the audio format, as `find_audio_format_name` returns it."""
    seed: int
    """Seed of the noise that is added to the speech."""
    bitrate_kbps: int | None = None
    """Bit rate of MP3; `None` means the default of the encoder. Other formats have none."""
    is_silent: bool = False
    """Whether silence replaces the speech, as a fault demands. The duration is that of the speech."""
    is_noise: bool = False
    """Whether white noise replaces the speech, as a fault demands. The duration is that of the speech."""
    gain: float = 1.0
    """Factor by which the samples are multiplied, as a fault demands; they are cut off at full scale."""
    dropout_s: float = 0.0
    """Duration in seconds of the part that is replaced by zeros where the speech is loudest, as a fault demands."""
    spoken_share: float = 1.0
    """Share of the speech that is kept, from its beginning, as a fault demands."""
    rate_error_factor: float = 1.0
    """Factor by which the speech is played faster, as a fault demands: as if the stated sample rate were wrong by
    it."""


def read_speech_field(request: ParsedRequest, target: Target, field: SpeechField) -> Any:
    """Return the value that a request has for a provider-independent field such as "voice".

    A provider-specific value is mapped back to the provider-independent one. If the request omits the field, the
    default from the schema is returned, or `MISSING` if there is no default or the target has no such field.
    """
    slot = target.speech.request_fields.get(field)
    if slot is None:
        return MISSING
    value = request.read_value(slot.location)
    if value is MISSING or value is None or (slot.location.message_part == "header" and value == _ANY_MEDIA_TYPE):
        value = find_default_value(request, slot.location)
    return slot.find_provider_independent_value(value) if isinstance(value, str | dict) else value


def strip_unspoken_text(text: str, text_field_mapping: FieldMapping, unspoken_patterns: tuple[str, ...] = ()) -> str:
    """Return the part of `text` that is spoken.

    The text field may have a template, such as "Speaker 0: {}", into which clients insert the text to speak. What the
    template adds is removed; a label such as "Speaker 0: " is removed from every line, whatever its number. Everything
    that matches a pattern in `unspoken_patterns` is removed too.
    """
    if text_field_mapping.markup_language is not None:
        text = text_field_mapping.remove_template(text)
    before, _, after = (
        text_field_mapping.text_template.partition("{}") if text_field_mapping.markup_language is None else ("", "", "")
    )
    if before.strip():
        label = r"\d+".join(re.escape(part) for part in re.split(r"\d+", before.strip()))
        text = re.sub(rf"^[ \t]*{label}[ \t]*", "", text, flags=re.MULTILINE)
    if after.strip():
        text = text.removesuffix(after)
    for pattern in unspoken_patterns:
        text = re.sub(pattern, "", text)
    return text.strip()


def read_synthesis_request(
    request: ParsedRequest,
    target: Target,
    response_audio: ResponseAudio,
    seed: int,
    *,
    read_field: Callable[[ParsedRequest, Target, SpeechField], Any] = read_speech_field,
    reads_markup: bool = True,
) -> SynthesisRequest:
    """Read the synthesis parameters from a speech request.

    Args:
        request: the speech request.
        target: the target that the request addresses.
        response_audio: where the response carries the audio; it may also set a fixed format and sample rate.
        seed: the emulator's seed.
        read_field: function that reads a field of the request, as `read_speech_field` does.
        reads_markup: whether the markup of a text is read; otherwise its tags are spoken.

    Raises:
        Rejection: the text is blank, its markup is not well-formed, or the emulator does not support the language or
            format.
    """
    emulation = target.target_spec.emulation
    text = _read_text(request, target, reads_markup=reads_markup)
    seed_word = read_field(request, target, "seed")
    audio_format = _read_documented_format(request, target, read_field)
    rate = response_audio.sample_rate_hz or emulation.sample_rate_hz
    if audio_format is not None:
        rate = min(max(audio_format.sample_rate_hz or rate, MIN_SAMPLE_RATE_HZ), MAX_SAMPLE_RATE_HZ)
    requested_language = read_field(request, target, "language")
    language = _choose_language(request, target, text, requested_language)
    codec = (
        audio_format.codec
        if audio_format is not None
        else _choose_format(request, target, response_audio, read_field(request, target, "format"))
    )
    return SynthesisRequest(
        text=text,
        language=language,
        espeak_variant=emulation.espeak_voice or DEFAULT_ESPEAK_VARIANT,
        words_per_minute=round(emulation.words_per_minute * _limit_speed_factor(read_field(request, target, "speed"))),
        pitch=_choose_voice_pitch(target, read_field(request, target, "voice"), requested_language),
        sample_rate_hz=rate,
        leading_silence_s=emulation.leading_silence_s,
        audio_format=codec,
        bitrate_kbps=_choose_bitrate_kbps(audio_format),
        # Both count: another seed of the emulator or of the request gives other audio. A seed may have any size.
        seed=seed ^ (seed_word & 0xFFFFFFFF if isinstance(seed_word, int) else 0),
    )


def _read_text(request: ParsedRequest, target: Target, *, reads_markup: bool) -> str:
    """Return the text to speak, without its markup, cut off at `MAX_SPOKEN_TEXT_CHARACTERS`; "Nothing." if it is empty.

    Raises:
        Rejection: the markup is not well-formed, or the text is blank.
    """
    raw = read_speech_field(request, target, "text")
    mapping = target.speech.request_fields["text"]
    name = get_documented_field_name(mapping)
    if not reads_markup:
        mapping = msgspec.structs.replace(mapping, markup_language=None, text_template="{}")
        raw = _TAG_CHARACTER_PATTERN.sub(" ", str(raw))
    has_markup = mapping.markup_language is not None and isinstance(raw, str)
    if request.rejects_unsupported_values and has_markup and not _is_well_formed_xml(raw):
        raise Rejection(
            "invalid", name, f"{name or 'body'}: the markup is not well-formed: {raw!r:.80}", schema_keyword="pattern"
        )
    unspoken_patterns = target.target_spec.emulation.unspoken_patterns
    text = strip_unspoken_text(raw, mapping, unspoken_patterns) if isinstance(raw, str) else ""
    # Without a text, the schema has decided: some operations take audio or a list of texts instead.
    is_text_needed = isinstance(raw, str) or "text" in target.target_spec.required_fields
    if not text and is_text_needed and request.rejects_unsupported_values:
        raise Rejection(
            "invalid", name, f"{name or 'body'}: the text is blank: {raw!r:.80}", schema_keyword="minLength"
        )
    return (text or "Nothing.")[:MAX_SPOKEN_TEXT_CHARACTERS]


def _read_documented_format(
    request: ParsedRequest, target: Target, read_field: Callable[[ParsedRequest, Target, SpeechField], Any]
) -> AudioFormat | None:
    """Return the format that a request asks for, with its container and rates; `None` if it is not documented."""
    found = _find_documented_audio_format(request, target, read_field(request, target, "format"))
    if found is None:
        return None
    return found.replace_requested_properties(
        container=read_field(request, target, "container"),
        sample_rate=read_field(request, target, "sample_rate"),
        bit_rate=read_field(request, target, "bit_rate"),
    )


def _is_well_formed_xml(markup: str) -> bool:
    """Whether a text is one well-formed XML element, without declarations and without custom entities."""
    if "<!" in markup or "<?" in markup:
        return False
    try:
        ET.fromstring(markup)  # noqa: S314 - without declarations, nothing expands
    except (ET.ParseError, ValueError):
        return False
    return True


def get_documented_field_name(field_mapping: FieldMapping) -> str:
    """Return the provider's name of a field or parameter, for error messages; of a nested field, the outermost name."""
    return field_mapping.location.field_name


def _limit_speed_factor(speed: Any) -> float:
    usable = isinstance(speed, int | float) and not isinstance(speed, bool) and speed > 0
    return float(min(max(speed, 0.1), 6.0)) if usable else 1.0  # an integer may be too large for a float


def _choose_voice_pitch(target: Target, voice_name: Any, requested_language: Any) -> int:
    spec = target.target_spec
    default = spec.default_voice_by_language.get(str(requested_language), spec.default_voice)
    if not isinstance(voice_name, str) or voice_name == default:
        return spec.emulation.espeak_pitch
    # Where the voice alone decides between targets, their default voices sound different, but hardly so.
    targets = [other for other in target.contract.targets.values() if other.operation is target.operation]
    others = [voice for voice in dict.fromkeys(one.target_spec.default_voice for one in targets) if voice != default]
    if voice_name in others:
        shift = others.index(voice_name) + 1
    else:
        shift = zlib.crc32(voice_name.encode()) % (2 * MAX_VOICE_PITCH_OFFSET) - MAX_VOICE_PITCH_OFFSET
        shift += shift >= 0  # never 0: another voice must sound different
    return min(max(spec.emulation.espeak_pitch + shift, 0), 99)


def _choose_language(request: ParsedRequest, target: Target, text: str, requested_language: Any) -> str:
    """Return the language to speak, which is the requested one if espeak-ng speaks it, else a guess from the text.

    Raises:
        Rejection: the requested language is neither documented nor spoken by espeak-ng.
    """
    if isinstance(requested_language, str) and requested_language and requested_language.lower() != AUTOMATIC_LANGUAGE:
        if has_voice_for(requested_language):
            return requested_language
        slot, known = target.speech.request_fields["language"], target.target_spec.supported_languages
        reject_undocumented_value(request, slot, requested_language, known, "the emulator does not speak")
    default = target.target_spec.default_language
    # "auto" and documented languages without a voice are spoken too: the contract says that they are accepted.
    return guess_language(text, default if default is not None and has_voice_for(default) else FALLBACK_LANGUAGE)


def _find_documented_audio_format(request: ParsedRequest, target: Target, requested_format: Any) -> AudioFormat | None:
    """Return what `x-speech.formats` states about the requested format, or the default format if none is requested.

    Return `None` if requests have no format field, or if the contract does not describe the format.
    """
    mapping = target.speech.request_fields.get("format")
    if mapping is None:
        return None
    if not isinstance(requested_format, str) or not requested_format:
        default = find_default_value(request, mapping.location)
        if default is MISSING:
            default = mapping.provider_values.get(
                target.target_spec.emulation.default_format or "", target.target_spec.emulation.default_format
            )
        return target.find_audio_format(default)
    return target.find_audio_format(mapping.provider_values.get(requested_format, requested_format))


def _choose_bitrate_kbps(documented_format: AudioFormat | None) -> int | None:
    """Return the bit rate in kbit/s of an MP3 format whose bit rate or sample rate is documented, else `None`.

    If only the sample rate is documented, the bit rate is `DEFAULT_BITRATE_KBPS`. `documented_format` is `None` if no
    format is documented.
    """
    if documented_format is None or documented_format.codec != "mp3":
        return None
    is_stated = documented_format.bitrate_kbps is not None or documented_format.sample_rate_hz is not None
    return documented_format.bitrate_kbps or (DEFAULT_BITRATE_KBPS if is_stated else None)


def _choose_format(request: ParsedRequest, target: Target, response_audio: ResponseAudio, requested_format: Any) -> str:
    """Return the format to deliver: the one that the contract fixes, else the requested one, else the default.

    An alternative replaces a requested format that cannot be delivered: see `choose_deliverable_format`.

    Raises:
        Rejection: the requested format is neither known to the emulator nor documented.
    """
    if response_audio.format is not None:
        return find_audio_format_name(response_audio.format) or _choose_default_format(target)
    if not isinstance(requested_format, str) or not requested_format:
        return _choose_default_format(target)
    found = find_audio_format_name(requested_format)
    if found is None:
        slot, known = target.speech.request_fields["format"], target.target_spec.supported_formats
        reject_undocumented_value(request, slot, requested_format, known, "the emulator has no format")
        return _choose_default_format(target)
    return choose_deliverable_format(found, _list_documented_media_types(target, response_audio))


def _list_documented_media_types(target: Target, response_audio: ResponseAudio) -> Iterable[str]:
    """Return the documented media types of the response whose body is the audio; none if no such response exists."""
    if response_audio.delivery_method == "bytes":
        return _find_audio_operation(target).success_response.media_types
    return (
        target.contract.find_operation(response_audio.download_operation_id).success_response.media_types
        if response_audio.download_operation_id is not None
        else ()
    )


def _find_audio_operation(target: Target) -> Operation:
    """Return the operation whose response contains the audio or links to it."""
    job = target.job_operation.job if target.job_operation else None
    return (
        target.contract.find_operation(job.result_operation_id) if job and job.result_operation_id else target.operation
    )


def _choose_default_format(target: Target) -> str:
    """Return the format for requests that name none.

    It is the format that the contract sets in `emulation`, else the first known format among the documented media
    types, else WAV.
    """
    if target.target_spec.emulation.default_format is not None:
        return find_audio_format_name(target.target_spec.emulation.default_format) or "wav"
    documented = (
        find_audio_format_name(name)
        for name in _find_audio_operation(target).success_response.media_types
        if name.startswith("audio/")
    )
    return next((name for name in documented if name), "wav")


def check_emulation_spec(target: Target) -> None:
    """Check that the emulator supports the voice, format and patterns in `emulation` of a target in the contract.

    Raises:
        ContractError: a voice or format is unknown, or a pattern is invalid; the error message names the line.
        MissingExtraError: the emulator's voices are not installed.
    """
    emulation, at = target.target_spec.emulation, f"{target.pointer}/emulation"
    document = target.contract.document
    if emulation.espeak_voice is not None and emulation.espeak_voice not in list_voice_variants():
        raise document.build_error(f"{at}/espeak_voice", f"espeak-ng has no variant {emulation.espeak_voice!r}")
    if emulation.default_format is not None and find_audio_format_name(emulation.default_format) is None:
        raise document.build_error(f"{at}/default_format", f"the emulator has no format {emulation.default_format!r}")
    for pattern in emulation.unspoken_patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise document.build_error(
                f"{at}/unspoken_patterns", f"{pattern!r} is not a valid regular expression: {error}"
            ) from error


class SynthesizedSpeech(NamedTuple):
    """Synthesized speech, encoded as an audio file."""

    audio_bytes: bytes
    audio_duration_s: float
    """Duration in seconds."""
    words: tuple[SpokenWord, ...] = ()
    """When each word of the synthesized text is spoken, from the start of the audio."""
    spoken_text: str = ""
    """The text that was synthesized."""


_speech_cache: OrderedDict[SynthesisRequest, SynthesizedSpeech] = OrderedDict()
"""The speech that was asked for last, of all providers."""


async def synthesize(synthesis: SynthesisRequest) -> SynthesizedSpeech:
    """Return encoded speech from the cache, or synthesize it in a thread.

    Raises:
        MissingExtraError: the emulator's voices are not installed.
    """
    if synthesis in _speech_cache:
        # Not from a thread: on a busy machine, that delays speech by more than the time between two messages.
        _speech_cache.move_to_end(synthesis)
    else:
        _speech_cache[synthesis] = await asyncio.to_thread(render_speech, synthesis)
        if len(_speech_cache) > MAX_CACHED_AUDIO_FILES:
            _speech_cache.popitem(last=False)
    return _speech_cache[synthesis]


def render_speech(synthesis: SynthesisRequest) -> SynthesizedSpeech:
    """Return encoded speech; equal requests result in equal bytes."""
    import numpy as np

    from voicegauge.speech.espeak import add_noise_floor, synthesize_with_times

    speech = synthesize_with_times(
        synthesis.text,
        language=synthesis.language,
        voice_variant=synthesis.espeak_variant,
        words_per_minute=synthesis.words_per_minute,
        pitch=synthesis.pitch,
        sample_rate_hz=synthesis.sample_rate_hz,
        seed=synthesis.seed,
    )
    samples = _apply_faults(speech.samples, synthesis)
    lead = np.zeros(round(synthesis.leading_silence_s * synthesis.sample_rate_hz), np.float32)
    if not synthesis.is_silent:  # digital silence is what this fault asks for
        add_noise_floor(lead, speech.samples, synthesis.seed + 1)  # other noise than in the speech after it
    samples = cast("NDArray[np.float32]", np.concatenate([lead, samples]))
    data = encode_output(samples, synthesis.sample_rate_hz, synthesis.audio_format, synthesis.bitrate_kbps)
    duration_s = len(samples) / synthesis.sample_rate_hz
    last_s = max(duration_s - _CUT_OFF_WORD_LEAD_S, 0.0)  # words that a fault cuts off are stated at the end
    words = [
        word._replace(
            start_s=min(synthesis.leading_silence_s + word.start_s / synthesis.rate_error_factor, last_s),
            end_s=min(synthesis.leading_silence_s + word.end_s / synthesis.rate_error_factor, last_s),
        )
        for word in speech.words
    ]
    return SynthesizedSpeech(data, duration_s, tuple(words), synthesis.text)


def _apply_faults(samples: NDArray[np.float32], synthesis: SynthesisRequest) -> NDArray[np.float32]:
    """Return the samples of speech as the faults of a synthesis change them."""
    import numpy as np

    if synthesis.is_silent:
        return np.zeros_like(samples)
    if synthesis.is_noise:
        noise = np.random.default_rng(zlib.crc32(repr(synthesis).encode())).standard_normal(len(samples))
        return (_NOISE_LEVEL * noise).astype(np.float32)
    samples = samples[: round(len(samples) * synthesis.spoken_share)].copy()
    if synthesis.rate_error_factor != 1.0:
        from voicegauge.speech.encoding import resample

        rate = synthesis.sample_rate_hz
        samples = resample(samples, round(rate * synthesis.rate_error_factor), rate)
    if synthesis.dropout_s:
        size = round(synthesis.dropout_s * synthesis.sample_rate_hz)
        loudest = int(np.argmax(np.abs(samples)))
        samples[max(loudest - size // 2, 0) : loudest + size // 2] = 0
    return samples if synthesis.gain == 1.0 else np.clip(samples * np.float32(synthesis.gain), -1.0, 1.0)


class SpeechTiming(NamedTuple):
    """When one character or word is spoken, in seconds from the start of the audio."""

    text: str
    """The character or the word."""
    start_s: float
    end_s: float | None
    """End in seconds; `None` if a fault leaves the end out."""


def build_speech_timings(
    text: str, unit: Literal["character", "word"], speech: SynthesizedSpeech, *, leading_silence_s: float
) -> list[SpeechTiming]:
    """Return when each character or word of `text` is spoken, from the times at which espeak-ng speaks its words.

    Within a word, every character takes the same time. An unspoken part, such as markup, has the time of the next
    spoken character.

    Args:
        text: the text of the request.
        unit: whether characters or words are timed.
        speech: the synthesized speech, with the times of its words.
        leading_silence_s: duration in seconds of the silence before the speech, where an unspoken text begins.
    """
    indices, times_s = _list_known_character_times(text, speech, leading_silence_s)
    pattern = r"(?s)." if unit == "character" else r"\S+"

    def compute_time_s(character_index: int, *, is_end: bool = False) -> float:
        # At the end of a word before a pause two times are known: where it ends, and where the next one starts.
        find = bisect.bisect_left if is_end else bisect.bisect_right
        place = find(indices, character_index)
        if place in (0, len(indices)):
            return _round_time_down(times_s[0] if place == 0 else times_s[-1])
        before, after = indices[place - 1], indices[place]
        share = (character_index - before) / (after - before) if after > before else 0.0
        return _round_time_down(times_s[place - 1] + share * (times_s[place] - times_s[place - 1]))

    return [
        SpeechTiming(found[0], compute_time_s(found.start()), compute_time_s(found.end(), is_end=True))
        for found in re.finditer(pattern, text)
    ]


def _round_time_down(time_s: float) -> float:
    # Down, because a rounded end could otherwise lie after the end of the audio.
    return math.floor(time_s * 1000) / 1000


def _list_known_character_times(text: str, speech: SynthesizedSpeech, start_s: float) -> tuple[list[int], list[float]]:
    """Return indices of characters in ascending order, and the times of each: the starts and the ends of words."""
    starts = _find_word_starts(text, speech)
    indices, times_s = [0], [start_s]
    for number, (start_index, word) in enumerate(starts):
        next_index = starts[number + 1][0] if number + 1 < len(starts) else len(text)
        # espeak-ng reports some short words, such as the second one of "of the", with the word before them.
        end_index = start_index + len(text[start_index:next_index].rstrip())
        indices += [start_index, end_index]
        times_s += [max(word.start_s, times_s[-1]), max(word.end_s, times_s[-1])]
    if len(times_s) > 1:
        times_s[0] = times_s[1]  # what stands before the first word
    indices.append(max(len(text), indices[-1]))
    times_s.append(times_s[-1] if len(times_s) > 1 else speech.audio_duration_s)
    return indices, times_s


def _find_word_starts(text: str, speech: SynthesizedSpeech) -> list[tuple[int, SpokenWord]]:
    """Return the words of the speech with the index in `text` at which each starts."""
    offset = text.find(speech.spoken_text)
    if offset >= 0:
        return [(offset + word.start_index, word) for word in speech.words]
    starts, place = [], 0
    for word in speech.words:
        spoken = speech.spoken_text[word.start_index : word.end_index]
        found = text.find(spoken, place) if spoken else -1
        if found >= 0:
            place = found + len(spoken)
            starts.append((found, word))
    return starts
