"""Joins the audio of the events of a streamed response to one file."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.client.delivery.failures import DeliveryFailedError, build_masked_excerpt, describe_response
from voicegauge.contract import Operation, ParsedExchange
from voicegauge.formats import UnreadableBodyError
from voicegauge.model import Failure, FailureKind
from voicegauge.recording import mask_credentials


def join_stream_audio(exchange: ParsedExchange, operation: Operation, secrets: Sequence[str]) -> bytes:
    """Return the audio of all events of a stream that ended in success.

    Args:
        exchange: the streamed response.
        operation: the operation that was requested; it has an `x-stream`.
        secrets: texts to mask in failure messages.

    Raises:
        DeliveryFailedError: the response is not an event stream, is incomplete or ends in failure, or its audio cannot
            be decoded.
    """
    assert operation.stream is not None, "audio delivered as stream has an x-stream"
    response = exchange.exchange.response

    def build_stream_error(failure_kind: FailureKind, message: str) -> DeliveryFailedError:
        return DeliveryFailedError(Failure(kind=failure_kind, message=mask_credentials(message, secrets)))

    if response.media_type != operation.stream.response_media_type:
        raise build_stream_error(
            "protocol", f"the response of {operation.id} is not an event stream: {describe_response(response, secrets)}"
        )
    stream = exchange.read_stream(operation.stream)
    if stream.error is not None:
        raise build_stream_error("protocol", f"the stream {stream.error}")
    if stream.has_failed and stream.ending is not None:
        reason = stream.ending.read_value(operation.stream.failure_reason_location)
        shown = build_masked_excerpt(reason, secrets) if isinstance(reason, str) else ""
        raise build_stream_error("failed", f"{stream.ending.event_type}: {shown or 'no reason given'}")
    if not stream.is_complete:
        kinds = [event.event_type for event in stream.events]
        last = (
            f"the last of {len(kinds)} is {mask_credentials(kinds[-1] or '', secrets)[:100]!r}"
            if kinds
            else "it has no events"
        )
        raise build_stream_error("protocol", f"the stream broke off without an event that ends it: {last}")
    try:
        return b"".join(piece for _, piece in stream.iterate_audio_events())
    except UnreadableBodyError as error:
        raise build_stream_error("protocol", f"an event of the stream {error}") from error
