"""Audio out of a stream of events, and when such a stream has ended. Answers are hostile input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voicegauge.client.delivery.failures import DeliveryFailedError, describe, excerpt
from voicegauge.contract import Contract, Operation, StreamReader, read_stream
from voicegauge.formats import MEDIA_TYPE, UnreadableBodyError
from voicegauge.model import Failure, FailureKind

if TYPE_CHECKING:
    from voicegauge.client.connection import ProviderConnection
    from voicegauge.client.delivery.response_values import ParsedResponse


def stream_end_detector(contract: Contract, operation: str) -> Callable[[bytes], bool] | None:
    """What reads the answer to one request as it comes, and says when all has come; `None` for no stream."""
    described = contract.operations.get(operation)
    if described is None or described.stream is None:
        return None
    reader = StreamReader(described.stream)

    def done(piece: bytes) -> bool:
        reader.feed(piece)
        return reader.ended or reader.error is not None

    return done


def join_stream_audio(connection: ProviderConnection, answer: ParsedResponse, operation: Operation) -> bytes:
    """The audio of all events of a stream that ended well.

    Raises:
        DeliveryFailedError: it is no stream, broke off, ended in failure, or its audio cannot be read.
    """
    assert operation.stream is not None, "audio delivered as stream has an x-stream"
    response = answer.response

    def fail(kind: FailureKind, message: str) -> DeliveryFailedError:
        return DeliveryFailedError(Failure(kind=kind, message=connection.mask_secrets(message)))

    if response.media_type != MEDIA_TYPE:
        said = describe(response, connection.secrets)
        raise fail("protocol", f"{operation.id} answered with no stream of events: {said}")
    stream = read_stream(operation.stream, response.body)
    if stream.error is not None:
        raise fail("protocol", f"the stream {stream.error}")
    if stream.failed and stream.ending is not None:
        reason = stream.ending.read(operation.stream.reason)
        told = excerpt(reason, connection.secrets) if isinstance(reason, str) else ""
        raise fail("failed", f"{stream.ending.kind}: {told or 'no reason given'}")
    if not stream.ended:
        kinds = [event.kind for event in stream.events]
        last = f"the last of {len(kinds)} is {(kinds[-1] or '')[:100]!r}" if kinds else "there is none"
        raise fail("protocol", f"the stream broke off: no event ends it, {last}")
    try:
        return b"".join(piece for _, piece in stream.audio())
    except UnreadableBodyError as error:
        raise fail("protocol", f"an event of the stream {error}") from error
