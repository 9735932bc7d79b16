"""Answers to requests that carry audio: transcripts, converted audio, stems, facts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from voicegauge.contract import MISSING, AudioInputTarget
from voicegauge.contract.extension import AudioInputField, ResponseAudio, StemList, UploadLimits
from voicegauge.emulator.audio import (
    ASR_LANGUAGE,
    OUTPUT_FORMATS,
    AudioEffect,
    SpeechSynthesizer,
    SynthesisRequest,
    align_phrases,
    analyze_music,
    apply_effect,
    check_audio_upload,
    default_value_at,
    slot_field_name,
    split_stems,
    transcribe_samples,
    transcript_values,
)
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import ParsedRequest, Rejection, fill_random_hex, uploaded_files
from voicegauge.emulator.responses import EmulatedResponse, ResponseBuilder
from voicegauge.emulator.state import AudioFileStore, EmulatedAccount, EmulatedClock, GeneratedAudio
from voicegauge.formats import Location
from voicegauge.model import UploadedFile
from voicegauge.speech.synthesis import has_voice_for

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio

Charge = Callable[[EmulatedAccount, AudioInputTarget, float], float | None]
"""Takes the price of so many seconds of audio from an account."""
AUTO = "auto"
_RATE_HZ = 24_000
_SILENCE_S = 1.0
"""Stands for an upload that is no audio, where a fault lets it pass."""
_MAX_RATE_HZ = 48_000


class DecodedUpload(NamedTuple):
    """An upload that was let in."""

    file: UploadedFile
    decoded: DecodedAudio


class AudioInputResult(NamedTuple):
    """What an answer holds: values by place, and audio."""

    values: Mapping[Location, Any]
    made: GeneratedAudio | None = None
    url: str = ""


class AudioInputEndpoint:
    """Answers one provider's requests that carry audio."""

    def __init__(
        self,
        *,
        builder: ResponseBuilder,
        clock: EmulatedClock,
        injector: FaultInjector,
        voice: SpeechSynthesizer,
        files: AudioFileStore,
        charge: Charge,
        next_rng: Callable[[], random.Random],
    ) -> None:
        """It answers by `builder`, takes money by `charge` and keeps what is fetched later in `files`."""
        self._builder, self._clock, self._injector = builder, clock, injector
        self._voice, self._files, self._charge, self._next_rng = voice, files, charge, next_rng

    async def respond(self, request: ParsedRequest, account: EmulatedAccount, *, strict: bool) -> EmulatedResponse:
        """The answer to `request`.

        Raises:
            Refusal: the upload is none, too large or no audio, or the account does not reach.
        """
        intake = choose_intake(request)
        started = asyncio.get_running_loop().time()
        upload = await asyncio.to_thread(self._read, request, intake, strict=strict)
        charge = self._charge(account, intake, upload.decoded.audio_s)
        make = self._transcript if intake.transcription else self._conversion
        result = await make(request, intake, upload, strict=strict)
        next_rng, emulation = self._next_rng(), intake.spec.emulation
        work_ms = emulation.base_ms + emulation.ms_per_audio_s * upload.decoded.audio_s
        work_s = self._clock.scale(work_ms / 1000 * next_rng.lognormvariate(0, emulation.jitter))
        await self._clock.sleep(work_s - (asyncio.get_running_loop().time() - started))  # what it truly took counts
        return self._builder.audio_input_response(request, intake, result.values, result.made, result.url, charge)

    def _read(self, request: ParsedRequest, intake: AudioInputTarget, *, strict: bool) -> DecodedUpload:
        """The upload, decoded.

        Raises:
            Refusal: it is not what the contract asks for, or no audio.
        """
        from voicegauge.speech.audio import UndecodableAudioError, decode

        if strict:
            check_audio_uploads(request, self._injector)
        slot = intake.use.request["audio"]
        file = request.read(slot.at)
        field = slot_field_name(slot)
        if not isinstance(file, UploadedFile):
            raise Rejection("invalid", field, f"{field} is no file")
        try:
            return DecodedUpload(file, decode(file.data))
        except UndecodableAudioError as error:
            if strict and not self._injector.skips_check("upload-format", request.operation):
                raise Rejection("invalid", field, f"{field} is no audio: {error}") from error
            return DecodedUpload(file, _silence())

    async def _transcript(
        self, request: ParsedRequest, intake: AudioInputTarget, upload: DecodedUpload, *, strict: bool
    ) -> AudioInputResult:
        del strict
        use, decoded = intake.transcription, upload.decoded
        assert use is not None
        wanted = read_audio_field(request, intake, "language")
        language = wanted if isinstance(wanted, str) and wanted and wanted.lower() != AUTO else ASR_LANGUAGE
        text = await transcribe_samples(decoded.samples, decoded.sample_rate_hz, language)
        values = transcript_values(
            use.answer,
            align_phrases(decoded.samples, decoded.sample_rate_hz, text),
            language=language,
            audio_s=decoded.audio_s,
            words=read_audio_field(request, intake, "timestamps") is True,
            speakers=read_audio_field(request, intake, "diarize") is True,
        )
        return AudioInputResult({use.answer.text: text, **values})

    async def _conversion(
        self, request: ParsedRequest, intake: AudioInputTarget, upload: DecodedUpload, *, strict: bool
    ) -> AudioInputResult:
        use = intake.conversion
        assert use is not None
        if use.does == "translate":
            return await self._translation(request, intake, upload, strict=strict)
        if use.does == "analyse":
            facts = await asyncio.to_thread(analyze_music, upload.decoded.samples, upload.decoded.sample_rate_hz)
            return AudioInputResult(
                {location: facts[name] for name, location in use.answer.facts.items() if name in facts}
            )
        if use.answer.stems is not None:
            return await self._stems(request, intake, upload, use.answer.stems)
        made = await asyncio.to_thread(_converted, request, intake, upload)
        location = use.answer.audio
        return self._delivered(request, location, made, use.does) if location else AudioInputResult({})

    async def _translation(
        self, request: ParsedRequest, intake: AudioInputTarget, upload: DecodedUpload, *, strict: bool
    ) -> AudioInputResult:
        """The transcript, a "translation" that says that it is none, and that spoken."""
        use = intake.conversion
        assert use is not None
        language = str(read_audio_field(request, intake, "language") or ASR_LANGUAGE)
        if not has_voice_for(language):
            if strict:
                raise Rejection(
                    "invalid", slot_field_name(use.request["language"]), f"the emulator does not speak {language!r}"
                )
            language = ASR_LANGUAGE
        text = await transcribe_samples(upload.decoded.samples, upload.decoded.sample_rate_hz)
        facts = {
            "transcript": text,
            "translation": f"EMULATED translation into {language}: {text}",
            "source_language": ASR_LANGUAGE,
            "target_language": language,
        }
        values = {location: facts[name] for name, location in use.answer.facts.items() if name in facts}
        if use.answer.audio is None:
            return AudioInputResult(values)
        name = intake.spec.emulation.format or "mp3"
        data = await self._voice.synthesize(_spoken(text or "Nothing was said.", language, name))
        result = self._delivered(request, use.answer.audio, GeneratedAudio(data, name), "translate")
        return result._replace(values=values)

    async def _stems(
        self, request: ParsedRequest, intake: AudioInputTarget, upload: DecodedUpload, location: StemList
    ) -> AudioInputResult:
        count = read_audio_field(request, intake, "stems")
        name = _wanted_format(request, intake, upload)
        decoded = upload.decoded
        parts = await asyncio.to_thread(
            _encoded_stems, decoded, count if isinstance(count, int) and 2 <= count <= 6 else 2, name
        )
        task, listed = fill_random_hex("task_{hex12}", self._next_rng()), []
        audio = ResponseAudio(at=location.at, delivered="url", download=location.download)
        for part, data in parts.items():
            made = GeneratedAudio(data, name)
            url = self._keep(request, audio, made, f"{task}-{part}")
            listed.append({location.name: part, location.url: url})
        return AudioInputResult({location.at: listed})

    def _delivered(
        self, request: ParsedRequest, location: ResponseAudio, made: GeneratedAudio, does: str
    ) -> AudioInputResult:
        if location.delivered != "url":
            return AudioInputResult({}, made)
        return AudioInputResult(
            {}, made, self._keep(request, location, made, fill_random_hex(f"{does}_{{hex12}}", self._next_rng()))
        )

    def _keep(self, request: ParsedRequest, location: ResponseAudio, made: GeneratedAudio, stem: str) -> str:
        name = f"{stem}.{made.format}"
        self._files.store(name, made)
        return self._builder.audio_url(request.incoming.base_url, location, name, made.format)


def choose_intake(request: ParsedRequest) -> AudioInputTarget:
    """The intake that a request means, by its constants; where it names none, by the schema's defaults."""
    intakes = [i for i in request.operation.contract.intakes.values() if i.operation is request.operation]

    def fits(intake: AudioInputTarget) -> bool:
        for location, constant in intake.spec.set.items():
            value = request.read(location)
            if (default_value_at(request, location) if value is MISSING else value) != constant:
                return False
        return True

    return next((intake for intake in intakes if fits(intake)), intakes[0])


def read_audio_field(request: ParsedRequest, intake: AudioInputTarget, word: AudioInputField) -> Any:
    """The value of a neutral word, or the schema's default; `None` where there is neither."""
    slot = intake.use.request.get(word)
    if slot is None:
        return None
    value = request.read(slot.at)
    if value is MISSING or value is None:
        value = default_value_at(request, slot.at)
    if isinstance(value, str):
        value = next((neutral for neutral, theirs in slot.map.items() if theirs == value), value)
    return None if value is MISSING else value


def check_audio_uploads(request: ParsedRequest, injector: FaultInjector) -> None:
    """Hold every uploaded file against `x-limits.uploads`, but for what a fault waives.

    Raises:
        Refusal: one is not as the contract asks.
    """
    limits = request.operation.limits.uploads
    for field, file in uploaded_files(request.body):
        if field in limits:
            check_audio_upload(file, field, _enforced(limits[field], request, injector))


def _enforced(upload: UploadLimits, request: ParsedRequest, injector: FaultInjector) -> UploadLimits:
    if injector.skips_check("upload-size", request.operation):
        upload = msgspec.structs.replace(upload, max_bytes=None)
    if injector.skips_check("upload-format", request.operation):
        upload = msgspec.structs.replace(upload, formats=())
    return upload


def _silence() -> DecodedAudio:
    import numpy as np

    from voicegauge.speech.audio import DecodedAudio

    samples = np.zeros(int(_RATE_HZ * _SILENCE_S), np.float32)
    return DecodedAudio(samples, _RATE_HZ, 1, "wav", "pcm_16", _SILENCE_S, _SILENCE_S)


def _converted(request: ParsedRequest, intake: AudioInputTarget, upload: DecodedUpload) -> GeneratedAudio:
    """The upload converted: as true a conversion as the purpose allows.

    Raises:
        Refusal: the format cannot be had as is asked.
    """
    from voicegauge.speech.audio import TranscodingTarget, encode_at_bitrate, transcode

    use, name = intake.conversion, _wanted_format(request, intake, upload)
    assert use is not None

    def number(word: AudioInputField) -> int | None:
        value = read_audio_field(request, intake, word)
        return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None

    rate, channels, kbps = number("sample_rate"), number("channels"), number("bitrate")
    if use.does == "convert" and upload.file.data:
        try:
            return GeneratedAudio(transcode(upload.file.data, TranscodingTarget(name, rate, channels, kbps)), name)
        except ValueError as error:  # PyAV's ArgumentError is one: the codec has no such rate
            raise Rejection("invalid", None, f"{name} cannot be written as is asked: {error}") from error
    speed = read_audio_field(request, intake, "speed")
    voice = read_audio_field(request, intake, "voice")
    change = AudioEffect(
        use.does,
        voice=voice if isinstance(voice, str) else None,
        speed=float(speed) if isinstance(speed, int | float) and 0.5 <= speed <= 2 else 1.0,
        strength=number("strength") or 2,
    )
    samples, rate = _at_most(upload.decoded)
    return GeneratedAudio(encode_at_bitrate(apply_effect(samples, rate, change), rate, name, kbps), name)


def _at_most(decoded: DecodedAudio) -> tuple[Any, int]:
    from voicegauge.speech.audio import resample

    rate = min(decoded.sample_rate_hz, _MAX_RATE_HZ)
    return resample(decoded.samples, decoded.sample_rate_hz, rate), rate


def _wanted_format(request: ParsedRequest, intake: AudioInputTarget, upload: DecodedUpload) -> str:
    """What the request asks for, else what the emulation says, else that of the upload."""
    wanted = read_audio_field(request, intake, "format") or intake.spec.emulation.format or upload.decoded.container
    return wanted if wanted in OUTPUT_FORMATS else "wav"


def _encoded_stems(decoded: DecodedAudio, count: int, name: str) -> dict[str, bytes]:
    from voicegauge.speech.audio import encode_at_bitrate

    samples, rate = _at_most(decoded)
    return {part: encode_at_bitrate(band, rate, name) for part, band in split_stems(samples, rate, count).items()}


def _spoken(text: str, language: str, name: str) -> SynthesisRequest:
    return SynthesisRequest(
        text=text,
        language=language,
        voice="klatt4",
        words_per_minute=165,
        pitch=50,
        sample_rate_hz=_RATE_HZ,
        lead_s=0.1,
        format=name,
        seed=0,
    )
