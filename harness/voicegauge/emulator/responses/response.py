"""An answer on its way out, open to change until it is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from voicegauge.contract import MediaType, ResponseSpec

if TYPE_CHECKING:
    from voicegauge.contract import Operation, Target
    from voicegauge.emulator.http import ParsedRequest
    from voicegauge.emulator.responses.streams import StreamPacing, StreamPiece
    from voicegauge.emulator.state import EmulatedJob

Kind = Literal["submit", "speech", "status", "result", "audio", "taken", "other", "error"]
"""What an answer is: a job accepted, speech at once, a job's state, its result, audio behind a URL,
audio that was taken in, ..."""


@dataclass
class EmulatedResponse:
    """A response that is being made."""

    kind: Kind
    status: int
    body: Any = b""
    """A JSON value where `media_type` is JSON, bytes otherwise."""
    media_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    spec: ResponseSpec | None = None
    """The documented response it follows."""
    media: MediaType | None = None
    """The documented body it follows."""
    operation: Operation | None = None
    target: Target | None = None
    job: EmulatedJob | None = None
    request: ParsedRequest | None = None
    rejection_reason: str | None = None
    """Why it is an error."""
    pacing: StreamPacing | None = None
    """How its body, which is audio, goes out piece by piece."""
    pieces: list[StreamPiece] | None = None
    """The pieces themselves, sent instead of `body`."""
    cut: bool = False
    """The connection breaks before the body's end."""
    raw: bytes | None = None
    """Sent as the body instead of `body`, with its media type kept."""

    @property
    def is_json(self) -> bool:
        """Whether `body` is a JSON value."""
        return not isinstance(self.body, bytes)

    def payload(self) -> bytes:
        """The bytes of the body."""
        if self.raw is not None:
            return self.raw
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
