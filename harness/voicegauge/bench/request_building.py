"""Builds the requests of planned samples within documented limits, and has them delivered over HTTP or WebSockets."""

from __future__ import annotations

import bisect
import contextlib
import functools
import mimetypes
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from voicegauge.bench.benchmark_plan import BenchPlan, PlannedSample
from voicegauge.bench.suites import SuiteText
from voicegauge.client.client import Client, RequestToRepeat
from voicegauge.client.ledger import SubmitObserver
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import AudioInputTarget, BaseTarget, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.contract.extension.provider import UploadLimits
from voicegauge.contract.price_computation import PriceQuote
from voicegauge.errors import DataError, UsageError
from voicegauge.files import find_bundled_folder, read_file
from voicegauge.formats.located_yaml import escape_pointer_token, split_json_pointer
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.model.base import Provenance, Record, SpeechRequest, TextPacing, VoiceSample
from voicegauge.model.exchange import Delivery, UploadedFile
from voicegauge.speech.audio_measurement import is_silent
from voicegauge.speech.decoding import DecodedAudio, UndecodableAudioError, decode
from voicegauge.speech.encoding import find_container_of_format

if TYPE_CHECKING:
    from voicegauge.client.socket_delivery import SocketDeliveries


# Synthesizes audio uploads from the suite's texts, so that every spoken word is known.


UPLOAD_ESPEAK_VOICE = "klatt5"
"""The espeak-ng variant that ASR engines recognize best, so that errors are due to the provider, not to the voice."""
UPLOAD_WORDS_PER_MINUTE = 165
"""Speaking rate of the uploads that are synthesized."""
UPLOAD_SAMPLE_RATE_HZ = 24_000
"""Sample rate of the uploads that are synthesized."""
UPLOAD_LEADING_SILENCE_S = 0.2
"""Duration of the silence before the speech, because an ASR engine may drop a word that begins immediately."""


class SpokenUpload(NamedTuple):
    """An audio file with a spoken text of the suite."""

    file: UploadedFile
    """The audio file: WAV, mono, 16 bits, sample rate `UPLOAD_SAMPLE_RATE_HZ`."""
    audio_duration_s: float
    """Duration of the audio in seconds, including the leading silence."""


def synthesize_upload(text: SuiteText) -> SpokenUpload:
    """Synthesize a text. Equal texts give equal bytes.

    Raises:
        MissingExtraError: the synthesizer is not installed.
        UsageError: the synthesizer does not support the language of the text.
    """
    import numpy as np

    from voicegauge.speech.encoding import encode
    from voicegauge.speech.espeak import has_voice_for, synthesize

    if not has_voice_for(text.language):
        raise UsageError(f"the embedded synthesizer does not support {text.language!r}: leave it out with --language")
    samples = synthesize(
        text.text,
        language=text.language,
        voice_variant=UPLOAD_ESPEAK_VOICE,
        words_per_minute=UPLOAD_WORDS_PER_MINUTE,
        pitch=50,
        sample_rate_hz=UPLOAD_SAMPLE_RATE_HZ,
        seed=0,
    )
    samples = np.concatenate([np.zeros(int(UPLOAD_SAMPLE_RATE_HZ * UPLOAD_LEADING_SILENCE_S), np.float32), samples])
    data, media_type = encode(samples, UPLOAD_SAMPLE_RATE_HZ, "wav")
    file = UploadedFile(filename=f"{text.id}.wav", media_type=media_type, data=data)
    return SpokenUpload(file, len(samples) / UPLOAD_SAMPLE_RATE_HZ)


# Compares texts with the documented limits of targets, before anything is sent.


_MAX_TEXTS_NAMED_IN_MESSAGE = 3
"""Largest number of texts that an error message names."""


def check_text_lengths(
    target: Target, texts: Collection[SuiteText], build_request: Callable[[SuiteText], RequestParts], *, is_live: bool
) -> None:
    """Compare the lengths of `texts` with the limits that the contract documents for `target`.

    Args:
        target: the target whose contract documents the limits.
        texts: the texts to be sent to the target; at least one.
        build_request: builds the request for a text.
        is_live: whether the limit of the user's account plan applies; for the emulator, the most generous limit of all
            plans applies.

    Raises:
        UsageError: texts are too long; the error message names them, the target and its limit.
    """
    longest_first = sorted(texts, key=lambda one: len(one.text), reverse=True)
    plan_limit = _find_account_plan_limit(target, is_live=is_live)
    schema_limit = _find_schema_limit(target, longest_first[0], build_request)
    limit = min((one for one in (plan_limit, schema_limit) if one is not None), default=None)
    too_long = [one for one in longest_first if limit is not None and len(one.text) > limit]
    if too_long:
        hint = ", or name your plan with --plan" if is_live and limit == plan_limit else ""
        named = ", ".join(f"{one.id} ({len(one.text)})" for one in too_long[:_MAX_TEXTS_NAMED_IN_MESSAGE])
        others = len(too_long) - _MAX_TEXTS_NAMED_IN_MESSAGE
        raise UsageError(
            f"{target.id} takes texts of at most {limit} characters, as its contract says, and would reject "
            f"{named}{f' and {others} more' if others > 0 else ''}: shorten them, or leave out this target{hint}"
        )


def _find_account_plan_limit(target: Target, *, is_live: bool) -> int | None:
    limits = target.operation.limits
    if is_live:
        return limits.find_plan_limits(target.contract.account_plans).max_text_characters
    known = [plan.max_text_characters for plan in limits.plan_limits.values()]
    return None if None in known else max((one for one in known if one is not None), default=None)


def _find_schema_limit(
    target: Target, longest_text: SuiteText, build_request: Callable[[SuiteText], RequestParts]
) -> int | None:
    """Return the largest text length that the schema of the request body allows, in characters.

    Return `None` if the schema allows `longest_text`.
    """

    def list_violated_keywords(character_count: int) -> frozenset[str]:
        parts = build_request(msgspec.structs.replace(longest_text, text="a" * character_count))
        media = target.operation.request_media.get(parts.media_type or "multipart/form-data")
        return frozenset(media.iterate_violated_keywords(msgspec.to_builtins(parts.body)) if media is not None else ())

    # A text of one character shows what is not about its length, such as form fields, which are text.
    shortest = list_violated_keywords(1)

    def is_too_long(character_count: int) -> bool:
        return bool(list_violated_keywords(character_count) - shortest)

    if not is_too_long(len(longest_text.text)):
        return None
    # A schema that rejects a length rejects all greater ones.
    return bisect.bisect_left(range(1, len(longest_text.text)), True, key=is_too_long)


# Reads the voice sample of targets that clone a voice, and compares it with the limits of their contracts.


MAX_VOICE_SAMPLE_BYTES = 64 * 2**20
"""Largest file that is accepted as a voice sample.

It is larger than any documented upload limit, and keeps a huge file at a mistyped path from being read into memory.
"""


@functools.cache
def load_default_voice_sample() -> VoiceSample:
    """Return the bundled recording, which is sent to targets that clone a voice if the user names no voice sample."""
    return read_voice_sample(str(find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.mp3"))


def read_voice_sample(url_or_file: str) -> VoiceSample:
    """Return a voice sample from a URL or a file.

    Args:
        url_or_file: an http(s) URL, which is passed on to the provider, or the path of an audio file.

    Raises:
        DataError: the file cannot be read, is too large, is not audio or is silent.
    """
    if url_or_file.startswith(("http://", "https://")):
        return VoiceSample(url=url_or_file)
    path = Path(url_or_file)
    try:
        if path.stat().st_size > MAX_VOICE_SAMPLE_BYTES:
            raise DataError(f"{path}: is too large for a voice sample (limit: {MAX_VOICE_SAMPLE_BYTES} bytes)")
        data = read_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        audio = decode(data)
    except UndecodableAudioError as error:
        raise DataError(f"{path}: is not a valid voice sample: {error}") from error
    if is_silent(audio.samples, audio.sample_rate_hz):
        raise DataError(f"{path}: is silent: record a voice that speaks")
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return VoiceSample(data=data, filename=path.name, media_type=media_type)


def check_voice_sample(voice_sample: VoiceSample, targets: Iterable[Target]) -> None:
    """Compare the user's voice sample with the documented limits of the targets that it is uploaded to.

    Raises:
        UsageError: the sample is too large, too short, too long, or of another format or sample rate than the contract
            of a target allows; the error message names the line of the limit.
    """
    for target in targets:
        slot = target.speech.request_fields.get("voice_sample_upload")
        if voice_sample.data is None or slot is None or "voice_sample_upload" not in target.target_spec.required_fields:
            continue
        field = slot.location.pointer_tokens[0]
        limits = target.operation.limits.upload_limits.get(field)
        for key, reason in _iterate_violated_limits(voice_sample.data, limits) if limits else ():
            place = target.contract.document.find_position(_find_limit_pointer(target, field, key))
            raise UsageError(f"{voice_sample.filename}: {reason}: limit of {target.id} ({place.path}:{place.line})")


def find_targets_needing_voice_sample_url(targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the ids of the targets that need the URL of a voice sample, because a file cannot be uploaded to them."""
    return tuple(
        target.id
        for target in targets
        if "voice_sample_url" in target.target_spec.required_fields
        and "voice_sample_upload" not in target.speech.request_fields
    )


def _iterate_violated_limits(voice_sample_bytes: bytes, limits: UploadLimits) -> Iterator[tuple[str, str]]:
    """Yield the keys of the violated limits, each with the sentence that explains it."""
    if limits.max_bytes is not None and len(voice_sample_bytes) > limits.max_bytes:
        yield "max_bytes", f"has {len(voice_sample_bytes):,} bytes, at most {limits.max_bytes:,} are allowed"
    audio = decode(voice_sample_bytes)
    if limits.accepted_formats and not _has_allowed_format(audio, limits):
        yield "accepted_formats", f"is {audio.container}, {' or '.join(limits.accepted_formats)} is required"
    if limits.min_duration_s is not None and audio.duration_s < limits.min_duration_s:
        yield "min_duration_s", f"is {audio.duration_s:.1f} s long, at least {limits.min_duration_s:g} s are required"
    if limits.max_duration_s is not None and audio.duration_s > limits.max_duration_s:
        yield "max_duration_s", f"is {audio.duration_s:.1f} s long, at most {limits.max_duration_s:g} s are allowed"
    if limits.min_sample_rate_hz is not None and audio.sample_rate_hz < limits.min_sample_rate_hz:
        yield (
            "min_sample_rate_hz",
            f"has a sample rate of {audio.sample_rate_hz:,} Hz, at least {limits.min_sample_rate_hz:,} Hz are required",
        )


def _has_allowed_format(audio: DecodedAudio, limits: UploadLimits) -> bool:
    allowed = {name.lower() for name in limits.accepted_formats}
    containers = {find_container_of_format(name) for name in allowed}
    return audio.container in allowed | containers or None in containers


def _find_limit_pointer(target: Target, upload_field: str, limit_key: str) -> str:
    """Return the JSON pointer to a limit of `x-limits.upload_limits`: at the operation, otherwise at the root.

    Args:
        target: the target whose operation takes the upload.
        upload_field: field of the request that takes the upload.
        limit_key: name of the limit, such as "max_duration_s".
    """
    suffix = f"/x-limits/upload_limits/{escape_pointer_token(upload_field)}/{limit_key}"
    own = f"{target.operation.pointer}{suffix}"
    pointer_tokens = split_json_pointer(own)
    return suffix if read_pointer(target.contract.document.data, pointer_tokens) is MISSING else own


# Builds the speech request of a planned sample, with the voice sample that a target needs.


def build_speech_request(target: Target, text: SuiteText, voice_sample: VoiceSample | None = None) -> SpeechRequest:
    """Build the speech request that asks `target` for `text`.

    Args:
        target: the target; fields that the target's contract does not map are left out.
        text: the text and its language.
        voice_sample: the user's own voice sample, sent only to targets that need one. With `None`, the bundled
            recording is sent to targets that need a file.
    """
    mapped_fields, needs = target.speech.request_fields, target.target_spec.required_fields
    sample = voice_sample if "voice_sample_url" in needs or "voice_sample_upload" in needs else None
    if sample is not None and sample.data is not None and "voice_sample_upload" not in mapped_fields:
        sample = None  # the target takes a URL only, and its contract has a default one
    if sample is None and "voice_sample_upload" in needs:
        sample = load_default_voice_sample()
    language: str | None = text.language
    if "language" in mapped_fields:  # a text may be in "en-GB" where the contract has "en", and a voice for it
        language = mapped_fields["language"].find_provider_independent_value(language)
    elif language not in target.target_spec.supported_languages:
        language = None
    return SpeechRequest(text=text.text, language=language, voice_sample=sample)


def validate_requests_can_be_built(
    plan: BenchPlan, targets: Mapping[str, BaseTarget], voice_sample: VoiceSample | None
) -> None:
    """Build one request per target and language, so that an unusable input is reported before anything is sent.

    Args:
        plan: the plan with the texts.
        targets: the targets by id.
        voice_sample: the user's own voice sample; `None` for the bundled one.

    Raises:
        UsageError: a target needs an input that is missing, or does not accept the voice sample or a text.
    """
    if voice_sample is not None:
        check_voice_sample(voice_sample, (target for target in targets.values() if isinstance(target, Target)))
    # What a request needs beside the text depends on the language at most.
    first_texts = {(one.target, one.text.language): one.text for row in plan.rounds for one in row}
    for (name, _), text in first_texts.items():
        target = targets[name]
        if isinstance(target, Target):
            map_speech_request(target, build_speech_request(target, text, voice_sample))
    for name, target in targets.items():
        texts = {one.text for row in plan.rounds for one in row if one.target == name}
        if isinstance(target, Target) and texts:

            def build_request(text: SuiteText, target: Target = target) -> RequestParts:
                return map_speech_request(target, build_speech_request(target, text, voice_sample))

            check_text_lengths(target, texts, build_request, is_live=plan.provenance is Provenance.LIVE)


class DeliverySettings(Record, frozen=True, kw_only=True):
    """How the samples of a run are requested."""

    user_price_usd_by_target: dict[str, float] = {}
    """The user's own prices in dollars per request, by target id."""
    voice_sample: VoiceSample | None = None
    """The user's own voice sample; `None` to use the bundled one."""
    text_pacing: TextPacing | None = None
    """How texts are sent over WebSockets; `None` to send them whole."""
    flushes_text: bool = False
    """Whether each text over a WebSocket is flushed before its turn ends, where a message for that is documented."""
    interrupts: bool = False
    """Whether each turn over a WebSocket follows one with the same text that is interrupted at its first audio."""


class RequestedSample(NamedTuple):
    """A planned sample, and what its request needs."""

    planned_sample: PlannedSample
    target: BaseTarget
    price: PriceQuote
    upload: SpokenUpload | None
    """The audio to send; `None` for a target that takes text."""
    submit_observer: SubmitObserver
    """Called before each submit and with its outcome, so that the journal has both."""
    request_to_repeat: RequestToRepeat | None
    """The earlier request that this one repeats; `None` for a new request."""
    idempotency_key: str | None = None
    """The idempotency key of a new request; `None` if the client creates one, where a contract documents it."""


class DeliveryRequester:
    """Requests deliveries, and keeps WebSockets open for the next turn as long as its context lasts."""

    def __init__(self, settings: DeliverySettings, socket_deliveries: SocketDeliveries | None) -> None:
        """Create a requester with `settings`. `socket_deliveries` is `None` if no target speaks over a WebSocket."""
        self._settings, self._socket_deliveries = settings, socket_deliveries

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: DeliverySettings, targets: Iterable[BaseTarget]) -> AsyncIterator[Self]:
        """Yield a requester for `targets`; its WebSockets are closed with the context."""
        if not any(isinstance(target, SocketTarget) for target in targets):
            yield cls(settings, None)
            return
        # Imported here because the library of WebSockets takes a tenth of a second to import.
        from voicegauge.client.socket_delivery import SocketDeliveries

        socket_deliveries = SocketDeliveries()
        try:
            yield cls(settings, socket_deliveries)
        finally:
            await socket_deliveries.close()

    async def request(self, requested: RequestedSample, client: Client) -> Delivery:
        """Request a sample from `client`, and return its delivery.

        A job is not cancelled when the user stops the run: it is paid for, and the same command fetches its result.

        Raises:
            VoicegaugeError: nothing was sent; see the methods of `Client`.
            DeliveryInterruptedError: the task was cancelled; the error has what was observed so far.
        """
        target, text = requested.target, requested.planned_sample.text
        price_usd = self._settings.user_price_usd_by_target.get(target.id)
        if isinstance(target, AudioInputTarget):
            assert requested.upload is not None, "audio is synthesized before the run"
            file, audio_s = requested.upload
            return await client.send_audio(
                target,
                file,
                audio_duration_s=audio_s,
                submit_observer=requested.submit_observer,
                price_usd=requested.price.price_usd,
                cancel_on_interrupt=False,
                request_to_repeat=requested.request_to_repeat,
                idempotency_key=requested.idempotency_key,
            )
        if isinstance(target, TranscriptionSocketTarget):
            from voicegauge.client.socket_delivery import deliver_transcription

            assert requested.upload is not None, "audio is synthesized before the run"
            return await deliver_transcription(
                client,
                target,
                requested.upload.file,
                submit_observer=requested.submit_observer,
                price_usd=requested.price.reserved_usd,
                request_to_repeat=requested.request_to_repeat,
            )
        if isinstance(target, SocketTarget):
            assert self._socket_deliveries is not None, "opened for targets that speak over WebSockets"
            return await self._socket_deliveries.speak(
                client,
                target,
                text.text,
                pacing=self._settings.text_pacing,
                flushes=self._settings.flushes_text,
                interrupts=self._settings.interrupts,
                submit_observer=requested.submit_observer,
                price_usd=price_usd,
                request_to_repeat=requested.request_to_repeat,
            )
        assert isinstance(target, Target), "a target without audio input synthesizes speech"
        return await client.speak(
            target,
            build_speech_request(target, text, self._settings.voice_sample),
            submit_observer=requested.submit_observer,
            price_usd=price_usd,
            cancel_on_interrupt=False,
            request_to_repeat=requested.request_to_repeat,
            idempotency_key=requested.idempotency_key,
        )


def select_delivery_audio(delivery: Delivery, upload: SpokenUpload | None) -> tuple[bytes | None, str | None]:
    """Return the audio of a delivery with its media type: the received audio, or the sent audio for a transcript.

    Args:
        delivery: the delivery.
        upload: the audio that was sent; `None` if text was sent.

    Returns:
        The audio and its media type; each is `None` if there is none, or none is declared.
    """
    if delivery.transcript is not None and upload is not None:
        return upload.file.data, upload.file.media_type
    return delivery.audio, delivery.media_type
