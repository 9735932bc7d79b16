"""A response of the emulator, and its headers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voicegauge.contract.document_parts import MediaType, Parameter, ResponseSpec
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.targets import Target
from voicegauge.emulator._job_state import EmulatedJob
from voicegauge.emulator._request import ParsedRequest
from voicegauge.emulator._schema_values import SchemaValueBuilder
from voicegauge.formats.bodies import is_json

# Defines a response under construction, which is built from the contract, changed by faults and then sent.


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
    stream_spec: StreamSpec | None = None
    """The events of the body; `None` if the body is not a stream of events."""
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


# Adds the documented response headers, with values from the emulator's state.


_MIN_PLAUSIBLE_UNIX_TIME = 1_000_000_000
"""If the documented example or minimum of a rate-limit reset header is at least this number, the header contains a Unix
time. Otherwise it contains the number of seconds to wait."""
BUSY_RETRY_AFTER_S = 1  # short, so that clients that honor Retry-After do not slow down tests


def add_documented_headers(response: EmulatedResponse, rate_limit_values: Mapping[str, int]) -> None:
    """Add the documented headers: rate limits, the charge, and all other required headers.

    Args:
        response: the response, which is changed in place.
        rate_limit_values: the result of `AccountRegistry.compute_rate_limit_values`.
    """
    if response.response_spec is None or response.operation is None:
        return
    roles = {name.lower(): role for role, name in response.operation.limits.rate_limit_header_names.items()}
    roles.setdefault("retry-after", "retry_after")
    present = {name.lower() for name in response.headers}
    for name, header in response.response_spec.headers.items():
        if name.lower() in present:
            continue
        value = _build_header_value(response, header, roles.get(name.lower()), rate_limit_values)
        if value is not None:
            response.headers[name] = value


def _build_header_value(
    response: EmulatedResponse, header: Parameter, header_role: str | None, rate_limit_values: Mapping[str, int]
) -> str | None:
    value = (
        _build_rate_limit_value(response, header, header_role, rate_limit_values) if header_role is not None else None
    )
    if value is not None:
        return value
    charged = _find_charged_amount(response, header.name)
    if charged is not None:
        return f"{charged:.6f}".rstrip("0").rstrip(".")
    if not header.is_required:
        return None
    builder = SchemaValueBuilder(header.schemas)
    return str(builder.build_minimal_value(header.part_data.get("schema", {}), f"{header.pointer}/schema"))


def _build_rate_limit_value(
    response: EmulatedResponse, header: Parameter, header_role: str, rate_limit_values: Mapping[str, int]
) -> str | None:
    limited = response.rejection_reason == "rate-limited"
    if header_role == "retry_after":
        return str(rate_limit_values["retry_after"] if limited else BUSY_RETRY_AFTER_S)
    if header_role == "reset":
        return str(rate_limit_values["reset"] if _contains_unix_time(header) else rate_limit_values["retry_after"])
    if header_role == "remaining" and limited:
        return "0"
    return str(rate_limit_values[header_role]) if header_role in rate_limit_values else None


def _find_charged_amount(response: EmulatedResponse, header_name: str) -> float | None:
    """Return the job's charge if a response of the contract reports it in the header `header_name`, else `None`."""
    if response.job is None or response.operation is None:
        return None
    for operation in response.operation.contract.operations.values():
        location = operation.speech.response.charge_location if operation.speech else None
        if location is not None and location.message_part == "header" and location.name.lower() == header_name.lower():
            return response.job.charge
    return None


def _contains_unix_time(header: Parameter) -> bool:
    shown: list[Any] = [header.part_data.get("example"), header.schema.get("example"), header.schema.get("minimum")]
    shown += header.schema.get("examples", [])
    return any(isinstance(value, int | float) and value >= _MIN_PLAUSIBLE_UNIX_TIME for value in shown)
