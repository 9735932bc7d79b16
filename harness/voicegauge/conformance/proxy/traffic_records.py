"""Defines the records of exchanges that passed through the proxy, and of the results of judging them."""

from __future__ import annotations

import msgspec

from voicegauge.conformance.reporting import CheckReport
from voicegauge.model import Finding, Headers, Record, Timing


class RelayedExchange(Record, frozen=True, kw_only=True, array_like=True):
    """One request that passed through the proxy, with its response as it was on the connection."""

    method: str
    url: str
    """The URL to which the request was forwarded."""
    request_headers: Headers
    request_body: bytes
    status: int
    response_headers: Headers
    response_body: bytes
    """The body as it was received, still compressed if the service compressed it."""
    timing: Timing | None
    interruption_reason: str | None = None
    """How the service lost the connection before the end of the body; `None` if the response is complete."""


class JudgeSettings(Record, frozen=True, kw_only=True):
    """The settings of the judging process."""

    contract_path: str
    """Path of the contract of the service behind the proxy."""
    base_urls: dict[str, str]
    """Base URLs in place of those of the contract, by server name."""
    recording_path: str | None
    """Path of the recording to write; `None` to write none."""
    names_to_mask: tuple[str, ...]
    """Names of further fields, parameters and headers to mask."""


class JudgedExchange(Record, frozen=True, kw_only=True):
    """What the judging process reports about one exchange, or about the end of the traffic."""

    findings: tuple[Finding, ...] = ()
    """Findings that were not reported before."""
    undocumented_request: str | None = None
    """Method and path of a request that fits no operation of the contract; `None` if the request fits one."""
    is_recorded: bool = False
    not_judged_reason: str | None = None
    """Why the exchange was not judged; `None` if it was."""
    not_recorded_reason: str | None = None
    """Why the exchange was not recorded; `None` if it was, or if no recording is written."""
    startup_error: str | None = None
    """Why judging cannot begin: one line."""
    report: CheckReport | None = None
    """The report of all exchanges; only in the last message."""


class ProxyReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge proxy --json` writes when it ends."""

    schema: str = "voicegauge/proxy/2"
    voicegauge_version: str = msgspec.field(name="voicegauge")
    """Version of voicegauge that wrote the report."""
    provider: str
    upstream_urls: tuple[str, ...]
    """The base URLs to which requests were forwarded."""
    request_count: int
    """Number of requests that clients sent."""
    failure_count_by_reason: dict[str, int] = {}
    """Number of requests without a response of the service, by reason. The client got status 502 from the proxy."""
    unjudged_count_by_reason: dict[str, int] = {}
    """Number of requests that passed but were not judged, by reason, such as a body above the limit."""
    undocumented_count_by_request: dict[str, int] = {}
    """Number of requests that fit no operation of the contract, by method and path. They passed and were not judged."""
    recording_path: str | None = msgspec.field(name="recording", default=None)
    """Path of the recording that was written; `None` if none was."""
    recorded_count: int = 0
    """Number of exchanges in the recording."""
    unrecorded_count_by_reason: dict[str, int] = {}
    """Number of exchanges that were not recorded, by reason, such as a text in them that looks like a credential."""
    report: CheckReport
    """The findings, as in `voicegauge check --json`. Texts in it are redacted."""
