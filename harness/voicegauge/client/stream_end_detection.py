"""Detects the end of an event stream while the stream arrives."""

from __future__ import annotations

from voicegauge.contract import Contract, EventStreamParser, parse_exchange
from voicegauge.contract.extension import StreamSpec
from voicegauge.model import Exchange


class StreamEndDetector:
    """Reads one streamed response, chunk by chunk, to detect its end."""

    def __init__(self, stream_spec: StreamSpec) -> None:
        """Create a detector that reads the events of a stream as `stream_spec` describes them."""
        self._spec, self._reader, self._size_bytes = stream_spec, EventStreamParser(stream_spec), 0

    def __call__(self, chunk: bytes) -> bool:
        """Read `chunk`; return whether the stream is complete or cannot be read any further."""
        self._reader.feed_chunk(chunk)
        self._size_bytes += len(chunk)
        return self._reader.is_complete or self._reader.error is not None

    def store_parsed_events(self, exchange: Exchange) -> None:
        """Store the parsed events with `exchange`, so that later readers do not parse them again.

        Nothing is stored if the detector was not given all chunks, as for a compressed response or one of a server in
        this process.
        """
        if self._size_bytes == len(exchange.response.body):
            self._reader.finish()
            parse_exchange(exchange).store_stream(self._spec, self._reader)


def create_stream_end_detector(contract: Contract, operation_id: str) -> StreamEndDetector | None:
    """Return a detector for one response of an operation; `None` if its responses are not event streams."""
    operation = contract.operations.get(operation_id)
    return StreamEndDetector(operation.stream) if operation is not None and operation.stream is not None else None
