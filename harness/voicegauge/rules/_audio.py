"""Rules about delivered audio: format, duration, loudness, timestamps.

The bounds are wide on purpose. A duration outside of them is not caused by an unusual voice but by a defect (audio cut
off, another text, a loop). Across seventeen languages speech carries about 39 bits per second, at 5 to 8 syllables per
second (Coupé et al., Science Advances 5(9), 2019). A syllable is written with one character in Chinese and Korean, with
one to three in Japanese, and with about two and a half in alphabets.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.model.exchange import find_header
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import SpeechDelivery

# Estimates plausible durations of spoken text.


class SpeakingRateRange(NamedTuple):
    """The slowest and the fastest plausible rate, in characters per second."""

    slowest_characters_per_s: float
    """Below it, the audio is too long for its text."""
    fastest_characters_per_s: float
    """Above it, the audio is too short for its text."""


ALPHABETIC_SPEAKING_RATE_RANGE = SpeakingRateRange(slowest_characters_per_s=4.0, fastest_characters_per_s=45.0)
"""Plausible speaking rates in alphabetic scripts. English is read at about 15 characters per second. A quarter of that
rate is dictation, and three times that rate is not intelligible (the limit is near 400 words per minute)."""
SYLLABIC_SPEAKING_RATE_RANGE = SpeakingRateRange(slowest_characters_per_s=1.2, fastest_characters_per_s=16.0)
"""Plausible speaking rates in scripts in which a character stands for about a syllable. Chinese and Korean are read at
4 to 5 characters per second, Japanese at up to 8."""
SYLLABIC_LANGUAGES = frozenset({"zh", "ja", "ko", "cmn", "yue"})
"""Codes of the languages whose scripts have a character for about each syllable: Chinese, Japanese and Korean."""
CHARACTERS_PER_DIGIT = 6
"""Number of letters that a digit counts as, because it is read as a word ("7" as "seven", "70" as "seventy")."""
MAX_PAUSE_PER_PUNCTUATION_MARK_S = 1.0
"""The longest pause at a punctuation mark, in seconds."""
_RATE_PARAMETER_PATTERN = re.compile(r";\s*rate=\"?(\d{4,6})(?!\d)", re.IGNORECASE)
"""Matches the sample rate in a media type of raw samples: "audio/pcm;rate=24000"."""
_OPENING_PARENTHESES, _CLOSING_PARENTHESES = "([\uff08", ")]\uff09"
MAX_SILENCE_AROUND_SPEECH_S = 4.0
"""The longest silence before and after the speech together, in seconds."""


def compute_plausible_duration_range_s(text: str, language: str | None, speed: float = 1.0) -> tuple[float, float]:
    """Return the shortest and the longest plausible duration of `text`, in seconds.

    Args:
        text: the spoken text.
        language: language code of the text, with or without a region; `None` to decide by the script.
        speed: the requested speed factor.
    """
    letters = digits = marks = syllabic = 0
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind == "N":
            digits += 1
        elif kind in "LM":
            letters += 1
            syllabic += _stands_for_syllable(character)
        elif kind in "PS":
            marks += 1
    code = (language or "").lower().replace("_", "-").partition("-")[0]
    rate = (
        SYLLABIC_SPEAKING_RATE_RANGE
        if code in SYLLABIC_LANGUAGES or syllabic * 2 > letters
        else ALPHABETIC_SPEAKING_RATE_RANGE
    )
    # Digits count for the longest duration only, because a number may be read in several ways. Text in parentheses may
    # be a direction to the voice, such as "(whispering)", which is not spoken.
    low = max(letters - _count_characters_in_parentheses(text), 0) / (rate.fastest_characters_per_s * speed)
    high = (
        (letters + CHARACTERS_PER_DIGIT * digits) / (rate.slowest_characters_per_s * speed)
        + MAX_PAUSE_PER_PUNCTUATION_MARK_S * marks / speed
        + MAX_SILENCE_AROUND_SPEECH_S
    )
    return low, high


def _stands_for_syllable(character: str) -> bool:
    """Whether a character is spoken as about one syllable: kana, Chinese characters, Hangul."""
    point = ord(character)
    return 0x3040 <= point <= 0x30FF or 0x3400 <= point <= 0x9FFF or 0xAC00 <= point <= 0xD7AF


def _count_characters_in_parentheses(text: str) -> int:
    depth = count = 0
    for character in text:
        depth += (character in _OPENING_PARENTHESES) - (character in _CLOSING_PARENTHESES)
        count += depth > 0 and character.isalpha()
    return count


# Rules about delivered audio: the format must be right, and the audio complete and plausible.


_GENERIC_MEDIA_TYPES = ("", "application/octet-stream", "binary/octet-stream")
"""Media types that do not name a format."""
_RELATIVE_BIT_RATE_TOLERANCE = 0.15
"""Accepted relative difference between the measured and the documented bit rate. In a short file, an encoder with a
variable bit rate does not reach its mean."""
_AUDIO_CONTRACT_CONDITION = "x-job.audio, x-speech.response.audio, x-speech.targets.*.response_audio"
"""`contract_condition` of rules that need a documented description of the audio."""


def _get_audio_pointer(speech_delivery: SpeechDelivery) -> str:
    """Return the JSON pointer to the description of the audio in the contract."""
    status = speech_delivery.target.job_operation
    if speech_delivery.target.target_spec.response_audio is not None:
        return f"{speech_delivery.target.pointer}/response_audio"
    return f"{status.pointer}/x-job/audio" if status else f"{speech_delivery.operation.pointer}/x-speech/response/audio"


def _detect_text_format(audio_bytes: bytes) -> str | None:
    """Return the format of the text that was delivered instead of audio: HTML, XML or JSON; `None` if it is none."""
    start = audio_bytes[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<body")):
        return "HTML"
    if start.startswith((b"<?xml", b"<error")):
        return "XML"
    return "JSON" if start.startswith((b"{", b"[")) and start.isascii() else None


@register_rule(
    "audio-missing",
    subject_class=SpeechDelivery,
    description="A successful request leads to audio, in the response or at the URL that it names.",
    contract_condition=_AUDIO_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="The request was accepted and perhaps charged, and there is no speech.",
        conforming_example='done, {"audio_url": "https://.../a.mp3"}, and the URL returns 200',
        violating_example='done, {"audio_url": "https://.../a.mp3"}, and the URL returns 404',
    ),
    shown_by=(FaultExample("completed-without-output"),),
)
def _check_audio_missing(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    failure = speech_delivery.delivery.failure
    if failure is not None and speech_delivery.is_successful and not _is_audio_instead_of_stream(speech_delivery):
        yield Violation(
            f"the request succeeded, but there is no audio: {failure.message}", _get_audio_pointer(speech_delivery)
        )


def _is_audio_instead_of_stream(speech_delivery: SpeechDelivery) -> bool:
    """Whether the response is audio alone although the request selects a stream of events.

    The rule response-kind-ignored reports this.
    """
    submit, audio = speech_delivery.submit_call, speech_delivery.target.response.audio
    kinds = {variant.delivery_method for variant in speech_delivery.operation.response_audio_variants}
    is_stream_selected = audio is not None and audio.delivery_method == "stream" and len(kinds) > 1
    return is_stream_selected and submit is not None and not submit.is_stream


@register_rule(
    "audio-not-audio",
    subject_class=SpeechDelivery,
    description="Delivered audio is not HTML, XML or JSON.",
    contract_condition=_AUDIO_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="A player shows an error, or plays nothing, although the status is 200.",
        conforming_example="200, audio/mpeg, a file that begins with ID3",
        violating_example="200, audio/mpeg, a file that begins with <!DOCTYPE html>",
    ),
    shown_by=(FaultExample("html-as-audio"),),
)
def _check_audio_is_text_document(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    data = speech_delivery.delivery.audio or b""
    kind = _detect_text_format(data)
    if kind:
        shown = data[:300].decode(errors="replace")
        yield Violation(f"{kind} was delivered as audio", _get_audio_pointer(speech_delivery), evidence=shown)


@register_rule(
    "audio-undecodable",
    subject_class=SpeechDelivery,
    description="The audio can be decoded. Raw samples are not judged if no document states their sample rate.",
    contract_condition=_AUDIO_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="No player can play it.",
        conforming_example="A WAV file with a header and samples",
        violating_example="A WAV file whose header is damaged",
    ),
    unshown_reason="The faults of audio deliver files that a decoder can read at least in part.",
)
def _check_audio_undecodable(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    data = speech_delivery.delivery.audio or b""
    if not data or speech_delivery.decode_error is None or speech_delivery.has_unknown_sample_rate:
        return
    if _detect_text_format(data) is None:
        yield Violation(
            f"cannot be decoded: {speech_delivery.decode_error}",
            _get_audio_pointer(speech_delivery),
            evidence=_format_first_bytes(data),
        )


@register_rule(
    "audio-truncated",
    subject_class=SpeechDelivery,
    description="The audio is as long as its container header states.",
    contract_condition=_AUDIO_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="The end of the speech is missing, and players disagree about its length.",
        conforming_example="The header states 3.2 s, and 3.2 s of samples follow.",
        violating_example="The header states 3.2 s, and 1.6 s of samples follow.",
    ),
    shown_by=(
        FaultExample("truncated-audio", also_found_by=("audio-length", "audio-undecodable", "spoken-text-incomplete")),
    ),
)
def _check_audio_truncated(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    decoded = speech_delivery.decoded_audio
    if decoded is not None and decoded.is_truncated:
        message = (
            f"the {decoded.container} header states {decoded.declared_duration_s:.2f} s, "
            f"the audio has {decoded.duration_s:.2f} s"
        )
        yield Violation(message, _get_audio_pointer(speech_delivery))


@register_rule(
    "audio-format",
    subject_class=SpeechDelivery,
    description="The audio has the requested format; if none was requested, the documented one or the default.",
    contract_condition=(
        "x-speech.request_fields.format, x-job.audio.format, x-speech.response.audio.format, "
        "x-speech.targets.*.response_audio.format"
    ),
    explanation=Explanation(
        consequence="A player or a telephone system that supports only the requested format plays noise or nothing.",
        conforming_example="Requested: wav. The file is WAV.",
        violating_example="Requested: wav. The file is MP3.",
    ),
    shown_by=(FaultExample("default-format-changed", also_found_by=("audio-media-type",)),),
)
def _check_audio_format(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    decoded, expected = speech_delivery.decoded_audio, _find_expected_format(speech_delivery)
    if expected is None or (decoded is None and not _is_declared_raw(speech_delivery)):
        return
    at = _get_audio_pointer(speech_delivery) if expected.is_fixed else _get_format_pointer(speech_delivery)
    if decoded is None:
        if expected.container != "pcm":
            yield Violation(
                f"expected {expected.format}, got raw samples: {speech_delivery.delivery.media_type}",
                at,
                evidence=_quote_first_audio_bytes(speech_delivery),
            )
        return
    # A container alone does not tell WAV of 16-bit samples from WAV of mu-law, which telephone systems need.
    is_other_codec = expected.codec is not None and decoded.codec != expected.codec
    if decoded.container != expected.container or is_other_codec:
        found = decoded.codec if decoded.container == expected.container else decoded.container
        yield Violation(
            f"expected {expected.description}{', the documented default,' if expected.is_default else ','} got {found}",
            at,
            evidence=_quote_first_audio_bytes(speech_delivery),
            common_cause=f"{found}{' by default' if expected.is_default else ''}",
        )


class _ExpectedFormat(NamedTuple):
    """The format that delivered audio must have."""

    format: str
    """Provider-independent name of the format, such as "mp3"."""
    description: str
    """The format in words, with the provider's name for it if that differs: "mp3 for mp3_44100"."""
    container: str
    """The container, or "pcm" for raw samples, in which the audio must be."""
    codec: str | None
    """The codec that the contract documents for the format; `None` if it documents none."""
    is_fixed: bool
    """Whether the contract states one format for all requests."""
    is_default: bool
    """Whether the format is the documented default, because the request names no format."""


def _find_expected_format(speech_delivery: SpeechDelivery) -> _ExpectedFormat | None:
    """Return the format that the audio must have; `None` if no document states it."""
    from voicegauge.speech.encoding import AUDIO_FORMATS, find_codec_of_format, find_container_of_format

    # What the request names counts before the format of all responses, and that before the default.
    documented, requested = speech_delivery.audio_spec, speech_delivery.requested_format
    fixed = documented.format if documented is not None and requested is None else None
    named = requested or fixed or speech_delivery.default_format
    meaning = speech_delivery.audio_format if fixed is None else None
    expected = meaning.codec if meaning is not None else named or ""
    container = find_container_of_format(expected)
    if container is None or (meaning is None and expected not in AUDIO_FORMATS):
        return None  # "aac" alone may mean a stream or a file
    return _ExpectedFormat(
        format=expected,
        description=expected if named in (None, expected) else f"{expected} for {named}",
        container=container,
        codec=find_codec_of_format(expected) if meaning is not None else None,
        is_fixed=bool(fixed),
        is_default=requested is None and fixed is None,
    )


def _find_cause_rule_id(speech_delivery: SpeechDelivery) -> str | None:
    """Return the id of the rule whose violation causes other violations by the same audio.

    This is "audio-format" if the audio has another container than the expected one. Return `None` if the two are equal,
    or if one of them is not known.
    """
    decoded, expected = speech_delivery.decoded_audio, _find_expected_format(speech_delivery)
    is_right = decoded is None or expected is None or decoded.container == expected.container
    return None if is_right else "audio-format"


def _is_declared_raw(speech_delivery: SpeechDelivery) -> bool:
    """Whether the Content-Type of the response says that the audio consists of raw samples."""
    from voicegauge.speech.containers import find_container_of_media_type

    return bool(speech_delivery.delivery.audio) and (
        find_container_of_media_type(speech_delivery.delivery.media_type) == "pcm"
    )


def _get_format_pointer(speech_delivery: SpeechDelivery) -> str:
    return f"{speech_delivery.operation.pointer}/x-speech/request_fields/format"


@register_rule(
    "audio-sample-rate",
    subject_class=SpeechDelivery,
    description=(
        "Audio with a header has the sample rate that is documented for its format. The media type of raw samples, as "
        "in audio/pcm;rate=24000, names no other one."
    ),
    contract_condition="x-speech.formats.*.sample_rate_hz, x-speech.request_fields.sample_rate",
    explanation=Explanation(
        consequence="Systems with a fixed rate play it too fast or too slowly.",
        conforming_example="pcm_24000 is documented as 24,000 Hz. The file has 24,000 Hz.",
        violating_example="pcm_24000 is documented as 24,000 Hz. The file has 12,000 Hz.",
    ),
    shown_by=(FaultExample("other-sample-rate", target_id="deepgram/aura-2"),),
)
def _check_audio_sample_rate(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.encoding import MP3_RATES_HZ

    decoded, documented = speech_delivery.decoded_audio, speech_delivery.audio_format
    if decoded is None or documented is None or documented.sample_rate_hz is None:
        return
    named_rate_hz = _read_named_sample_rate(speech_delivery) if decoded.container == "pcm" else None
    if named_rate_hz is not None and named_rate_hz != documented.sample_rate_hz:
        yield Violation(
            f"expected {documented.sample_rate_hz} Hz{_describe_format(speech_delivery)}, the Content-Type names "
            f"{named_rate_hz} Hz",
            _get_format_pointer(speech_delivery),
        )
    # Opus always decodes at 48 kHz, whatever the rate of its input was (RFC 7845, section 5.1).
    if decoded.container == "pcm" or decoded.codec == "opus" or documented.codec in ("opus", "webm"):
        return
    if documented.codec == "mp3" and documented.sample_rate_hz not in MP3_RATES_HZ:
        return  # a request may ask for a rate that MP3 does not have
    if decoded.sample_rate_hz != documented.sample_rate_hz:
        yield Violation(
            f"expected {documented.sample_rate_hz} Hz{_describe_format(speech_delivery)}, "
            f"got {decoded.sample_rate_hz} Hz",
            _get_format_pointer(speech_delivery),
            cause_rule_id=_find_cause_rule_id(speech_delivery),
        )


def _read_named_sample_rate(speech_delivery: SpeechDelivery) -> int | None:
    """Return the sample rate that the media type of raw samples names (RFC 4856, section 2.1.16); `None` if none."""
    content_type = find_header(speech_delivery.exchange.response.headers, "content-type") or ""
    match = _RATE_PARAMETER_PATTERN.search(content_type)
    return int(match.group(1)) if match is not None else None


@register_rule(
    "audio-bit-rate",
    subject_class=SpeechDelivery,
    description="MP3 has the bit rate that is documented for its format.",
    contract_condition="x-speech.formats.*.bitrate_kbps, x-speech.request_fields.bit_rate",
    explanation=Explanation(
        consequence="The quality is lower, or the file larger, than what was chosen and paid for.",
        conforming_example="mp3_44100_128 is documented as 128 kbit/s. The file has 128 kbit/s.",
        violating_example="mp3_44100_128 is documented as 128 kbit/s. The file has 64 kbit/s.",
    ),
    shown_by=(FaultExample("other-bit-rate", target_id="elevenlabs/multilingual-v2"),),
)
def _check_audio_bit_rate(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.encoding import has_mp3_bitrate

    decoded, documented = speech_delivery.decoded_audio, speech_delivery.audio_format
    if decoded is None or documented is None or documented.bitrate_kbps is None or decoded.container != "mp3":
        return
    measured_kbps = None if speech_delivery.measured_audio is None else speech_delivery.measured_audio.bitrate_kbps
    if measured_kbps is None or not has_mp3_bitrate(decoded.sample_rate_hz, documented.bitrate_kbps):
        return  # a request may ask for a bit rate that MP3 does not have
    if abs(measured_kbps / documented.bitrate_kbps - 1) > _RELATIVE_BIT_RATE_TOLERANCE:
        yield Violation(
            f"expected {documented.bitrate_kbps} kbit/s{_describe_format(speech_delivery)}, "
            f"got {measured_kbps:.0f} kbit/s",
            _get_format_pointer(speech_delivery),
        )


def _describe_format(speech_delivery: SpeechDelivery) -> str:
    named = speech_delivery.requested_format or speech_delivery.default_format
    return f" for {named}" if named is not None else ""


@register_rule(
    "audio-media-type",
    subject_class=SpeechDelivery,
    description="The audio matches its declared media type.",
    contract_condition=_AUDIO_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="Browsers and storage services treat the file by its declared type.",
        conforming_example="Content-Type: audio/mpeg, and the file is MP3",
        violating_example="Content-Type: audio/mpeg, and the file is WAV",
    ),
    shown_by=(FaultExample("wrong-format", also_found_by=("audio-format",)),),
)
def _check_audio_media_type(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.containers import find_container_of_media_type

    if speech_delivery.decoded_audio is None:
        return
    container, at = speech_delivery.decoded_audio.container, _get_audio_pointer(speech_delivery)
    declared = (speech_delivery.delivery.media_type or "").lower()
    for media_type in dict.fromkeys((declared, speech_delivery.exchange.response.media_type)):
        named = find_container_of_media_type(media_type)
        if named is not None and named != container:
            yield Violation(
                f"declared as {media_type}, but it is {container}",
                at,
                evidence=_quote_first_audio_bytes(speech_delivery),
                cause_rule_id=_find_cause_rule_id(speech_delivery),
            )
        elif (
            # Audio in an MP4 or WebM container is often declared as video. A generic type says nothing wrong.
            named is None
            and media_type == declared
            and not media_type.startswith(("audio/", "video/"))
            and media_type not in _GENERIC_MEDIA_TYPES
        ):
            yield Violation(f"declared as {media_type}, which is not an audio media type", at)


@register_rule(
    "audio-silent",
    subject_class=SpeechDelivery,
    description="The audio is not silent.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="The file plays, the request was charged, and nobody hears anything.",
        conforming_example="Speech at -20 dBFS",
        violating_example="Three seconds of digital silence",
    ),
    shown_by=(FaultExample("silent-audio"),),
)
def _check_audio_silent(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.audio_measurement import compute_rms_dbfs

    decoded = speech_delivery.decoded_audio
    if decoded is not None and speech_delivery.has_ordinary_text and speech_delivery.is_silent:
        level_dbfs = compute_rms_dbfs(decoded.samples)
        silence = f"silence ({level_dbfs:.0f} dBFS)" if math.isfinite(level_dbfs) else "digital silence"
        yield Violation(
            f"{decoded.duration_s:.2f} s of {silence} for the text",
            f"{speech_delivery.operation.pointer}/x-speech",
            evidence=speech_delivery.audio_evidence,
        )


@register_rule(
    "audio-length",
    subject_class=SpeechDelivery,
    description="The duration of the audio is plausible for its text, by bounds that every voice meets.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="Speech that is far too short lacks words, and one that is far too long has others or long pauses.",
        conforming_example="A sentence of twelve words takes 4 s.",
        violating_example="A sentence of twelve words takes 0.3 s.",
    ),
    shown_by=(
        FaultExample(
            "text-ignored",
            also_found_by=(
                "audio-of-other-text",
                "spoken-text-other",
                "spoken-text-incomplete",
                "spoken-text-repeated",
            ),
        ),
    ),
)
def _check_audio_length(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    decoded = speech_delivery.decoded_audio
    if decoded is None or not speech_delivery.has_ordinary_text:
        return
    language = speech_delivery.speech_request.language or speech_delivery.target.target_spec.default_language
    # A length that is right for the usual speed has another cause, which speed-ignored reports.
    speeds = {speech_delivery.speech_request.speed or 1.0, 1.0}
    ranges = [compute_plausible_duration_range_s(speech_delivery.speech_request.text, language, one) for one in speeds]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    at = f"{speech_delivery.operation.pointer}/x-speech"
    text = speech_delivery.speech_request.text
    if decoded.duration_s < low:
        message = f"{decoded.duration_s:.2f} s for {len(text)} characters: at least {low:.2f} s are plausible"
        yield Violation(message, at, evidence=speech_delivery.audio_evidence)
    elif decoded.duration_s > high:
        message = f"{decoded.duration_s:.2f} s for {len(text)} characters: at most {high:.2f} s are plausible"
        yield Violation(message, at, evidence=speech_delivery.audio_evidence)


def _quote_first_audio_bytes(speech_delivery: SpeechDelivery) -> str:
    data = speech_delivery.delivery.audio or b""
    return f"{_format_first_bytes(data)}, Content-Type: {speech_delivery.exchange.response.media_type or 'none'}"


def _format_first_bytes(audio_bytes: bytes) -> str:
    return f"begins {audio_bytes[:16].hex(' ')}"
