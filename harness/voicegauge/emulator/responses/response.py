"""Defines a response under construction, which is built from the contract, changed by faults and then sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from voicegauge.contract import MediaType, Operation, ResponseSpec, Target
from voicegauge.emulator.http import ParsedRequest
from voicegauge.emulator.state import EmulatedJob
from voicegauge.formats import is_json

ResponseKind = Literal["submit", "speech", "status", "result", "audio", "audio-input", "other", "error"]
"""What a response does: it accepts a job ("submit"), returns speech at once ("speech"), reports a job's state
("status"), returns a job's result ("result"), is a download of audio ("audio"), returns the result for uploaded audio
("audio-input"), is another documented response ("other"), or an error ("error")."""


@dataclass
class StreamPiece:
    """One chunk of a streamed body, or one server-sent event, before it is encoded."""

    wait_before_s: float
    """Delay in seconds after the previous piece; it is skipped unless the clock is real."""
    event_type: str | None = None
    """Type of the event; `None` for plain bytes, and for a text without a type that marks the end of the stream."""
    event_data: Any = None
    """Data of the event, without its audio."""
    audio_bytes: bytes = b""
    event_text: str | None = None
    """Data of the event if the data is not JSON, such as the text "[DONE]" at the end of a stream; else `None`."""
    stall_s: float = 0.0
    """Extra delay in seconds. It also happens if the clock is not real, because clients must be able to measure it."""
    is_audio_corrupt: bool = False
    """Whether the audio is encoded wrongly on purpose."""


@dataclass
class EmulatedResponse:
    """A response that is built from the contract, changed by faults and then sent."""

    kind: ResponseKind
    status: int
    body: Any = b""
    """The body: a JSON value if `media_type` is JSON, a text if it is a text type such as "text/plain", else bytes."""
    media_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    response_spec: ResponseSpec | None = None
    """The documented response on which this response is based; `None` if it is undocumented."""
    documented_media_type: MediaType | None = None
    """The documented media type of the body; `None` if the contract does not document it."""
    operation: Operation | None = None
    """The operation that was requested; `None` if the path or method belongs to no operation."""
    target: Target | None = None
    job: EmulatedJob | None = None
    """The job that the response is about; `None` if it is about none."""
    request: ParsedRequest | None = None
    rejection_reason: str | None = None
    """The reason why the request was rejected; `None` if it was not."""
    split_into_pieces: Callable[[bytes], list[StreamPiece]] | None = None
    """Function that splits a streamed body into pieces, called after faults have changed `body`; `None` if the body is
    not streamed."""
    stream_pieces: list[StreamPiece] | None = None
    """Pieces of a streamed body, which are sent instead of `body`; `None` if the body is not streamed."""
    is_connection_cut: bool = False
    """Whether the connection is closed before the end of the body."""
    audio_format: str | None = None
    """Format of the audio if the body is a download of audio, else `None`."""
    replacement_body_bytes: bytes | None = None
    """Bytes that are sent instead of `body` and `stream_pieces` with the same media type; `None` if there are none."""

    @property
    def is_body_text_or_json(self) -> bool:
        """Whether `body` is a JSON value or a text rather than bytes."""
        return not isinstance(self.body, bytes)

    def encode_payload(self) -> bytes:
        """Return the bytes to send if the body is not streamed."""
        if self.replacement_body_bytes is not None:
            return self.replacement_body_bytes
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str) and self.media_type is not None and not is_json(self.media_type):
            return self.body.encode()
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
