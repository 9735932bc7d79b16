"""Answers to requests that carry audio: transcripts, converted audio, stems, facts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from voicegauge.contract import MISSING, AudioInputTarget
from voicegauge.contract.extension import AudioInputField, ResponseAudio, StemList, UploadLimits
from voicegauge.emulator.audio import (
    LANGUAGE,
    WRITABLE,
    Change,
    Utterance,
    Voice,
    analysis,
    changed,
    check_upload,
    default_at,
    field_of,
    phrases,
    stems,
    transcribe,
    transcript_values,
)
from voicegauge.emulator.faults import Planted
from voicegauge.emulator.http import Call, Refusal, fill_hex, uploads
from voicegauge.emulator.responses import Answers, Reply
from voicegauge.emulator.state import Account, EmulatedClock, Files, Made
from voicegauge.model import UploadedFile
from voicegauge.speech.synthesis import speaks

if TYPE_CHECKING:
    from voicegauge.speech.audio import DecodedAudio

Charge = Callable[[Account, AudioInputTarget, float], float | None]
"""Takes the price of so many seconds of audio from an account."""
AUTO = "auto"
_RATE_HZ = 24_000
_SILENCE_S = 1.0
"""Stands for an upload that is no audio, where a fault lets it pass."""
_MAX_RATE_HZ = 48_000


class Heard(NamedTuple):
    """An upload that was let in."""

    file: UploadedFile
    decoded: DecodedAudio


class Taken(NamedTuple):
    """What an answer holds: values by place, and audio."""

    values: dict[str, Any]
    made: Made | None = None
    url: str = ""


class Intakes:
    """Answers one provider's requests that carry audio."""

    def __init__(
        self,
        *,
        answers: Answers,
        clock: EmulatedClock,
        planted: Planted,
        voice: Voice,
        files: Files,
        charge: Charge,
        dice: Callable[[], random.Random],
    ) -> None:
        """It answers by `answers`, takes money by `charge` and keeps what is fetched later in `files`."""
        self._answers, self._clock, self._planted = answers, clock, planted
        self._voice, self._files, self._charge, self._dice = voice, files, charge, dice

    async def answer(self, call: Call, account: Account, *, strict: bool) -> Reply:
        """The answer to `call`.

        Raises:
            Refusal: the upload is none, too large or no audio, or the account does not reach.
        """
        intake = choose_intake(call)
        started = asyncio.get_running_loop().time()
        heard = await asyncio.to_thread(self._read, call, intake, strict=strict)
        charge = self._charge(account, intake, heard.decoded.audio_s)
        make = self._transcript if intake.transcription else self._conversion
        taken = await make(call, intake, heard, strict=strict)
        dice, emulation = self._dice(), intake.spec.emulation
        work_ms = emulation.base_ms + emulation.ms_per_audio_s * heard.decoded.audio_s
        work_s = self._clock.scaled(work_ms / 1000 * dice.lognormvariate(0, emulation.jitter))
        await self._clock.sleep(work_s - (asyncio.get_running_loop().time() - started))  # what it truly took counts
        return self._answers.taken(call, intake, taken.values, taken.made, taken.url, charge)

    def _read(self, call: Call, intake: AudioInputTarget, *, strict: bool) -> Heard:
        """The upload, decoded.

        Raises:
            Refusal: it is not what the contract asks for, or no audio.
        """
        from voicegauge.speech.audio import UndecodableAudioError, decode

        if strict:
            check_uploads(call, self._planted)
        slot = intake.use.request["audio"]
        file = call.read(slot.at)
        field = field_of(slot)
        if not isinstance(file, UploadedFile):
            raise Refusal("invalid", field, f"{field} is no file")
        try:
            return Heard(file, decode(file.data))
        except UndecodableAudioError as error:
            if strict and not self._planted.waives("upload-format", call.operation):
                raise Refusal("invalid", field, f"{field} is no audio: {error}") from error
            return Heard(file, _silence())

    async def _transcript(self, call: Call, intake: AudioInputTarget, heard: Heard, *, strict: bool) -> Taken:
        del strict
        use, decoded = intake.transcription, heard.decoded
        assert use is not None
        wanted = read_intake_word(call, intake, "language")
        language = wanted if isinstance(wanted, str) and wanted and wanted.lower() != AUTO else LANGUAGE
        text = await transcribe(decoded.samples, decoded.sample_rate_hz, language)
        values = transcript_values(
            use.answer,
            phrases(decoded.samples, decoded.sample_rate_hz, text),
            language=language,
            audio_s=decoded.audio_s,
            words=read_intake_word(call, intake, "timestamps") is True,
            speakers=read_intake_word(call, intake, "diarize") is True,
        )
        return Taken({use.answer.text: text, **values})

    async def _conversion(self, call: Call, intake: AudioInputTarget, heard: Heard, *, strict: bool) -> Taken:
        use = intake.conversion
        assert use is not None
        if use.does == "translate":
            return await self._translation(call, intake, heard, strict=strict)
        if use.does == "analyse":
            facts = await asyncio.to_thread(analysis, heard.decoded.samples, heard.decoded.sample_rate_hz)
            return Taken({place: facts[name] for name, place in use.answer.facts.items() if name in facts})
        if use.answer.stems is not None:
            return await self._stems(call, intake, heard, use.answer.stems)
        made = await asyncio.to_thread(_converted, call, intake, heard)
        place = use.answer.audio
        return self._delivered(call, place, made, use.does) if place else Taken({})

    async def _translation(self, call: Call, intake: AudioInputTarget, heard: Heard, *, strict: bool) -> Taken:
        """The transcript, a "translation" that says that it is none, and that spoken."""
        use = intake.conversion
        assert use is not None
        language = str(read_intake_word(call, intake, "language") or LANGUAGE)
        if not speaks(language):
            if strict:
                raise Refusal("invalid", field_of(use.request["language"]), f"the emulator does not speak {language!r}")
            language = LANGUAGE
        text = await transcribe(heard.decoded.samples, heard.decoded.sample_rate_hz)
        facts = {
            "transcript": text,
            "translation": f"EMULATED translation into {language}: {text}",
            "source_language": LANGUAGE,
            "target_language": language,
        }
        values = {place: facts[name] for name, place in use.answer.facts.items() if name in facts}
        if use.answer.audio is None:
            return Taken(values)
        name = intake.spec.emulation.format or "mp3"
        data = await self._voice.speak(_spoken(text or "Nothing was said.", language, name))
        taken = self._delivered(call, use.answer.audio, Made(data, name), "translate")
        return taken._replace(values=values)

    async def _stems(self, call: Call, intake: AudioInputTarget, heard: Heard, place: StemList) -> Taken:
        count = read_intake_word(call, intake, "stems")
        name = _wanted_format(call, intake, heard)
        decoded = heard.decoded
        parts = await asyncio.to_thread(
            _encoded_stems, decoded, count if isinstance(count, int) and 2 <= count <= 6 else 2, name
        )
        task, listed = fill_hex("task_{hex12}", self._dice()), []
        audio = ResponseAudio(at=place.at, delivered="url", download=place.download)
        for part, data in parts.items():
            made = Made(data, name)
            url = self._keep(call, audio, made, f"{task}-{part}")
            listed.append({place.name: part, place.url: url})
        return Taken({place.at: listed})

    def _delivered(self, call: Call, place: ResponseAudio, made: Made, does: str) -> Taken:
        if place.delivered != "url":
            return Taken({}, made)
        return Taken({}, made, self._keep(call, place, made, fill_hex(f"{does}_{{hex12}}", self._dice())))

    def _keep(self, call: Call, place: ResponseAudio, made: Made, stem: str) -> str:
        name = f"{stem}.{made.format}"
        self._files.keep(name, made)
        return self._answers.audio_url(call.incoming.base_url, place, name, made.format)


def choose_intake(call: Call) -> AudioInputTarget:
    """The intake that a request means, by its constants; where it names none, by the schema's defaults."""
    intakes = [i for i in call.operation.contract.intakes.values() if i.operation is call.operation]

    def fits(intake: AudioInputTarget) -> bool:
        for place, constant in intake.spec.set.items():
            value = call.read(place)
            if (default_at(call, place) if value is MISSING else value) != constant:
                return False
        return True

    return next((intake for intake in intakes if fits(intake)), intakes[0])


def read_intake_word(call: Call, intake: AudioInputTarget, word: AudioInputField) -> Any:
    """The value of a neutral word, or the schema's default; `None` where there is neither."""
    slot = intake.use.request.get(word)
    if slot is None:
        return None
    value = call.read(slot.at)
    if value is MISSING or value is None:
        value = default_at(call, slot.at)
    if isinstance(value, str):
        value = next((neutral for neutral, theirs in slot.map.items() if theirs == value), value)
    return None if value is MISSING else value


def check_uploads(call: Call, planted: Planted) -> None:
    """Hold every uploaded file against `x-limits.uploads`, but for what a fault waives.

    Raises:
        Refusal: one is not as the contract asks.
    """
    limits = call.operation.limits.uploads
    for field, file in uploads(call.body):
        if field in limits:
            check_upload(file, field, _enforced(limits[field], call, planted))


def _enforced(upload: UploadLimits, call: Call, planted: Planted) -> UploadLimits:
    if planted.waives("upload-size", call.operation):
        upload = msgspec.structs.replace(upload, max_bytes=None)
    if planted.waives("upload-format", call.operation):
        upload = msgspec.structs.replace(upload, formats=())
    return upload


def _silence() -> DecodedAudio:
    import numpy as np

    from voicegauge.speech.audio import DecodedAudio

    samples = np.zeros(int(_RATE_HZ * _SILENCE_S), np.float32)
    return DecodedAudio(samples, _RATE_HZ, 1, "wav", "pcm_16", _SILENCE_S, _SILENCE_S)


def _converted(call: Call, intake: AudioInputTarget, heard: Heard) -> Made:
    """The upload converted: as true a conversion as the purpose allows.

    Raises:
        Refusal: the format cannot be had as is asked.
    """
    from voicegauge.speech.audio import TranscodingTarget, transcode, write_audio

    use, name = intake.conversion, _wanted_format(call, intake, heard)
    assert use is not None

    def number(word: AudioInputField) -> int | None:
        value = read_intake_word(call, intake, word)
        return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None

    rate, channels, kbps = number("sample_rate"), number("channels"), number("bitrate")
    if use.does == "convert" and heard.file.data:
        try:
            return Made(transcode(heard.file.data, TranscodingTarget(name, rate, channels, kbps)), name)
        except ValueError as error:  # PyAV's ArgumentError is one: the codec has no such rate
            raise Refusal("invalid", None, f"{name} cannot be written as is asked: {error}") from error
    speed = read_intake_word(call, intake, "speed")
    voice = read_intake_word(call, intake, "voice")
    change = Change(
        use.does,
        voice=voice if isinstance(voice, str) else None,
        speed=float(speed) if isinstance(speed, int | float) and 0.5 <= speed <= 2 else 1.0,
        strength=number("strength") or 2,
    )
    samples, rate = _at_most(heard.decoded)
    return Made(write_audio(changed(samples, rate, change), rate, name, kbps), name)


def _at_most(decoded: DecodedAudio) -> tuple[Any, int]:
    from voicegauge.speech.audio import resample

    rate = min(decoded.sample_rate_hz, _MAX_RATE_HZ)
    return resample(decoded.samples, decoded.sample_rate_hz, rate), rate


def _wanted_format(call: Call, intake: AudioInputTarget, heard: Heard) -> str:
    """What the request asks for, else what the emulation says, else that of the upload."""
    wanted = read_intake_word(call, intake, "format") or intake.spec.emulation.format or heard.decoded.container
    return wanted if wanted in WRITABLE else "wav"


def _encoded_stems(decoded: DecodedAudio, count: int, name: str) -> dict[str, bytes]:
    from voicegauge.speech.audio import write_audio

    samples, rate = _at_most(decoded)
    return {part: write_audio(band, rate, name) for part, band in stems(samples, rate, count).items()}


def _spoken(text: str, language: str, name: str) -> Utterance:
    return Utterance(
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
