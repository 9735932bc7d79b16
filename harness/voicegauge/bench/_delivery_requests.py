"""Requests the delivery of a planned sample as its target needs it: over HTTP or a WebSocket, from text or audio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, NamedTuple, Self

from voicegauge.bench.benchmark_plan import PlannedSample
from voicegauge.bench.request_building import SpokenUpload, build_speech_request
from voicegauge.client.client import Client, RequestToRepeat
from voicegauge.client.settlement import SubmitObserver
from voicegauge.contract.pricing import PriceQuote
from voicegauge.contract.targets import AudioInputTarget, BaseTarget, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.model.base import Record, VoiceSample
from voicegauge.model.job import Delivery
from voicegauge.model.text_pieces import TextPacing

if TYPE_CHECKING:
    from voicegauge.client.socket_delivery import SocketDeliveries


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

    planned: PlannedSample
    target: BaseTarget
    price: PriceQuote
    upload: SpokenUpload | None
    """The audio to send; `None` for a target that takes text."""
    submit_observer: SubmitObserver
    request_to_repeat: RequestToRepeat | None
    """The earlier request that this one repeats; `None` for a new request."""
    idempotency_key: str | None = None
    """The idempotency key of a new request; `None` if the client creates one, where a contract documents it."""


class DeliveryRequester:
    """Requests deliveries, and keeps WebSockets open for the next turn as long as its context lasts."""

    def __init__(self, settings: DeliverySettings, socket_deliveries: SocketDeliveries | None) -> None:
        """Request deliveries as `settings` say. `socket_deliveries` is needed if a target speaks over a WebSocket."""
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
        target, text = requested.target, requested.planned.text
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
            from voicegauge.client.transcription_delivery import deliver_transcription

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


def find_uploaded_audio(delivery: Delivery, upload: SpokenUpload | None) -> tuple[bytes | None, str | None]:
    """Return the audio of a delivery with its media type: what was received, or sent if a transcript was received."""
    if delivery.transcript is not None and upload is not None:
        return upload.file.data, upload.file.media_type
    return delivery.audio, delivery.media_type
