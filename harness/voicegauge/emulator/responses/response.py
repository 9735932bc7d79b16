"""A response under construction: built from the contract, then changed by faults, then sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from voicegauge.contract import MediaType, Operation, ResponseSpec, Target
from voicegauge.emulator.http import ParsedRequest
from voicegauge.emulator.state import EmulatedJob

ResponseKind = Literal["submit", "speech", "status", "result", "audio", "audio-input", "other", "error"]
"""The role of a response: accepts a job, returns speech at once, reports a job's state, returns a job's result,
is a download of audio, processes uploaded audio, anything else that is documented, or an error."""


@dataclass
class StreamPiece:
    """One chunk of a streamed body, or one server-sent event, before it is encoded."""

    wait_s: float
    """Delay after the previous piece; skipped unless the clock is real."""
    event: str | None = None
    """Event type; `None` for plain bytes and for the end marker."""
    value: Any = None
    """Data of the event, without its audio."""
    audio: bytes = b""
    text: str | None = None
    """Data of the event if it is not JSON, such as an end marker."""
    stall_s: float = 0.0
    """Extra delay, waited even if the clock is not real: clients must be able to measure it."""
    corrupt: bool = False
    """Whether the audio is encoded incorrectly."""


@dataclass
class EmulatedResponse:
    """A response under construction."""

    kind: ResponseKind
    status: int
    body: Any = b""
    """JSON value if `media_type` is JSON, else bytes."""
    media_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    spec: ResponseSpec | None = None
    """Documented response this one follows."""
    media: MediaType | None = None
    """Documented media type the body follows."""
    operation: Operation | None = None
    target: Target | None = None
    job: EmulatedJob | None = None
    request: ParsedRequest | None = None
    rejection_reason: str | None = None
    """Why the request was rejected, if it was."""
    split_body: Callable[[bytes], list[StreamPiece]] | None = None
    """Splits a streamed body into pieces; called after faults have changed `body`. `None` if it is not streamed."""
    pieces: list[StreamPiece] | None = None
    """Pieces of a streamed body, sent instead of `body`."""
    cut: bool = False
    """Whether the connection is closed before the end of the body."""
    audio_format: str | None = None
    """Format of the audio in the body of a download."""
    raw: bytes | None = None
    """Bytes sent instead of `body` and of `pieces`; the media type stays."""

    @property
    def is_json(self) -> bool:
        """Whether `body` is a JSON value."""
        return not isinstance(self.body, bytes)

    def payload(self) -> bytes:
        """Return the bytes of an unstreamed body."""
        if self.raw is not None:
            return self.raw
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
