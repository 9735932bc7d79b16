"""The subset of HAR 1.2 that is written and read here, as msgspec structs.

Custom fields begin with an underscore, as HAR 1.2 requires. Times are in milliseconds.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from voicegauge.model import Provenance, Timing

SCHEMA_VERSION = 1
"""Version of the underscored fields; raised when their meaning or shape changes."""

HttpStatus = Annotated[int, Meta(ge=0, le=999)]
SidecarName = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\.[a-z0-9]{1,5}\Z")]
"""Name of a file next to the HAR file: the SHA-256 of its content, never a path that could lead elsewhere."""


class HarStruct(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all structs. Names are in camel case; unknown fields are ignored, as HAR 1.2 requires of readers."""


class HarNameValue(HarStruct, frozen=True, kw_only=True):
    """A header, a query parameter or a cookie."""

    name: str
    value: str


class HarParam(HarStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A field of a multipart body, as text or as a file."""

    name: str
    value: str = ""
    file_name: str | None = None
    content_type: str | None = None
    file: SidecarName | None = field(default=None, name="_file")


class HarPostData(HarStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A request body, as form fields, as text or in a sidecar file."""

    mime_type: str
    params: tuple[HarParam, ...] = ()
    text: str = ""
    file: SidecarName | None = field(default=None, name="_file")


class HarRequest(HarStruct, frozen=True, kw_only=True):
    """A request."""

    method: str
    url: str
    http_version: str = "HTTP/1.1"
    cookies: tuple[HarNameValue, ...] = ()
    headers: tuple[HarNameValue, ...] = ()
    query_string: tuple[HarNameValue, ...] = ()
    post_data: HarPostData | UnsetType = UNSET
    headers_size: int = -1
    """-1: not known."""
    body_size: int = -1


class HarContent(HarStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A response body, as text or in a sidecar file."""

    size: int
    mime_type: str
    text: str = ""
    file: SidecarName | None = field(default=None, name="_file")


class HarResponse(HarStruct, frozen=True, kw_only=True):
    """A response."""

    status: HttpStatus
    status_text: str = ""
    http_version: str = "HTTP/1.1"
    cookies: tuple[HarNameValue, ...] = ()
    headers: tuple[HarNameValue, ...] = ()
    content: HarContent
    redirect_url: str = field(default="", name="redirectURL")
    headers_size: int = -1
    """-1: not known."""
    body_size: int = -1


class HarTimings(HarStruct, frozen=True, kw_only=True):
    """Phases of a request in milliseconds; `connect` includes `ssl`, -1 marks a phase that did not happen."""

    blocked: float = -1
    dns: float = -1
    connect: float = -1
    ssl: float = -1
    send: float = 0
    wait: float = 0
    receive: float = 0


class HarEntry(HarStruct, frozen=True, kw_only=True):
    """One exchange."""

    started_date_time: str
    time: float
    request: HarRequest
    response: HarResponse
    cache: dict[str, str] = {}
    timings: HarTimings
    provider: str = field(name="_provider")
    operation: str = field(name="_operation")
    group: str | None = field(default=None, name="_group")
    timing: Timing | None = field(default=None, name="_timing")
    """The full measurement with the arrival of each chunk, which `timings` cannot hold; `null` if not measured."""


class HarCreator(HarStruct, frozen=True, kw_only=True):
    """The program that wrote the file."""

    name: str
    version: str


class HarMetadata(HarStruct, frozen=True, kw_only=True):
    """Origin of the recorded traffic."""

    schema_version: int
    provenance: Provenance
    provider: str
    contract_version: str
    contract_sha256: str = field(name="contractSha256")
    recorded_at: str
    """UTC, ISO 8601."""
    redactions: dict[str, int] = field(default_factory=dict, name="scrubbed")
    """Number of masked values by location."""


class HarLog(HarStruct, frozen=True, kw_only=True):
    """The top-level object of a HAR file."""

    version: str
    creator: HarCreator
    entries: tuple[HarEntry, ...]
    metadata: HarMetadata = field(name="_voicegauge")


class HarFile(HarStruct, frozen=True, kw_only=True):
    """A whole HAR file."""

    log: HarLog


def har_timings(timing: Timing | None) -> HarTimings:
    """Convert a measurement to the phases of HAR."""
    if timing is None:
        return HarTimings()
    tls_ms = timing.tls_ms
    connect_ms = None if timing.connect_ms is None else timing.connect_ms + (tls_ms or 0.0)
    return HarTimings(
        blocked=timing.wait_ms,
        connect=-1 if connect_ms is None else connect_ms,
        ssl=-1 if tls_ms is None else tls_ms,
        send=timing.send_ms,
        wait=timing.ttfb_ms,
        receive=timing.receive_ms,
    )
