"""The shape of a HAR 1.2 file, as far as it is written and read here.

Fields of our own begin with an underscore, as HAR 1.2 asks. Times are milliseconds.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from voicegauge.model import Provenance, Timing

SCHEMA_VERSION = 1
"""Of the underscored fields; raised when their meaning or shape changes."""

Status = Annotated[int, Meta(ge=0, le=999)]
SidecarName = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\.[a-z0-9]{1,5}\Z")]
"""A file beside the HAR file, named by its content's SHA-256: never a path."""


class _Har(Struct, frozen=True, kw_only=True, rename="camel"):
    """HAR names are in camel case. Unknown fields are left alone, as HAR 1.2 asks."""


class HarNameValue(_Har, frozen=True, kw_only=True):
    """A header, a query parameter or a cookie."""

    name: str
    value: str


class HarParam(_Har, frozen=True, kw_only=True, omit_defaults=True):
    """A field of a multipart body: its text, or its file."""

    name: str
    value: str = ""
    file_name: str | None = None
    content_type: str | None = None
    file: SidecarName | None = field(default=None, name="_file")


class HarPostData(_Har, frozen=True, kw_only=True, omit_defaults=True):
    """A request's body: fields, text, or the name of a sidecar file."""

    mime_type: str
    params: tuple[HarParam, ...] = ()
    text: str = ""
    file: SidecarName | None = field(default=None, name="_file")


class HarRequest(_Har, frozen=True, kw_only=True):
    """A request."""

    method: str
    url: str
    http_version: str = "HTTP/1.1"
    cookies: tuple[HarNameValue, ...] = ()
    headers: tuple[HarNameValue, ...] = ()
    query_string: tuple[HarNameValue, ...] = ()
    post_data: HarPostData | UnsetType = UNSET
    headers_size: int = -1
    body_size: int = -1


class HarContent(_Har, frozen=True, kw_only=True, omit_defaults=True):
    """A response's body: text, or the name of a sidecar file."""

    size: int
    mime_type: str
    text: str = ""
    file: SidecarName | None = field(default=None, name="_file")


class HarResponse(_Har, frozen=True, kw_only=True):
    """A response."""

    status: Status
    status_text: str = ""
    http_version: str = "HTTP/1.1"
    cookies: tuple[HarNameValue, ...] = ()
    headers: tuple[HarNameValue, ...] = ()
    content: HarContent
    redirect_url: str = field(default="", name="redirectURL")
    headers_size: int = -1
    body_size: int = -1


class HarTimings(_Har, frozen=True, kw_only=True):
    """HAR's split: `connect` includes `ssl`; -1 where a phase did not happen."""

    blocked: float = -1
    dns: float = -1
    connect: float = -1
    ssl: float = -1
    send: float = 0
    wait: float = 0
    receive: float = 0


class HarEntry(_Har, frozen=True, kw_only=True):
    """An exchange."""

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
    """Exactly as measured, with the arrival of each chunk; `null` where nobody measured."""


class HarCreator(_Har, frozen=True, kw_only=True):
    """What wrote the file."""

    name: str
    version: str


class HarMetadata(_Har, frozen=True, kw_only=True):
    """Where the traffic came from."""

    schema_version: int
    provenance: Provenance
    provider: str
    contract_version: str
    contract_sha256: str = field(name="contractSha256")
    recorded_at: str
    """UTC, ISO 8601."""
    redactions: dict[str, int] = field(default_factory=dict, name="scrubbed")
    """Places in which something was masked, with how often."""


class HarLog(_Har, frozen=True, kw_only=True):
    """The file's one object."""

    version: str
    creator: HarCreator
    entries: tuple[HarEntry, ...]
    about: HarMetadata = field(name="_voicegauge")


class HarFile(_Har, frozen=True, kw_only=True):
    """The file."""

    log: HarLog


def har_timings(timing: Timing | None) -> HarTimings:
    """HAR's split of `timing`."""
    if timing is None:
        return HarTimings()
    tls = timing.tls_ms
    connect = None if timing.connect_ms is None else timing.connect_ms + (tls or 0.0)
    return HarTimings(
        blocked=timing.wait_ms,
        connect=-1 if connect is None else connect,
        ssl=-1 if tls is None else tls,
        send=timing.send_ms,
        wait=timing.ttfb_ms,
        receive=timing.receive_ms,
    )
