"""Receives webhooks and validates them against the contracts."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from voicegauge.api.target_selection import ContractsOrFolders, select_providers, to_catalogue
from voicegauge.conformance.running import CallbackMonitor, JudgedCallback
from voicegauge.model import ReceivedCallback, Record, StopReason
from voicegauge.receiver import run_receiver
from voicegauge.version import __version__

QUEUE_CHECK_INTERVAL_S = 0.2
"""Interval, in seconds, between checks for Ctrl-C and for the time limit."""


class ListenResult(Record, frozen=True, kw_only=True):
    """The result of `listen`, which `voicegauge listen --json` writes as JSON when it ends."""

    schema: str = "voicegauge/listen/2"
    voicegauge_version: str = msgspec.field(name="voicegauge")
    url: str
    """The URL to which providers sent webhooks. It was valid only while the command ran."""
    webhooks: tuple[JudgedCallback, ...]
    """All bodies that were sent to the URL, including those that fit no contract (`verdict` "unknown")."""
    stop_reason: StopReason | None = None
    """"interrupted" after Ctrl-C; `None` if a limit was reached."""

    @property
    def assigned_webhooks(self) -> tuple[JudgedCallback, ...]:
        """The webhooks that were assigned to an operation of a contract, whether they passed or failed."""
        return tuple(webhook for webhook in self.webhooks if webhook.verdict != "unknown")


def listen(
    providers: str | Sequence[str] = (),
    *,
    contracts: ContractsOrFolders = (),
    port: int = 8090,
    public_url: str | None = None,
    subscribed_events: Literal["any", "terminal", "progress"] = "any",
    max_webhooks: int | None = None,
    timeout_s: float | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
    on_webhook: Callable[[JudgedCallback], None] = lambda _webhook: None,
) -> ListenResult:
    """Receive webhooks and validate them against the contracts, until Ctrl-C or a limit is reached.

    Args:
        providers: ids of the providers whose webhooks are expected; all by default.
        contracts: loaded contracts, or folders of your own.
        port: local port to listen on; 0 chooses a free one.
        public_url: https URL of a tunnel to the port.
        subscribed_events: which events the client subscribed to. With "terminal", a progress event is a finding; with
            "progress", a missing progress event is a finding.
        max_webhooks: stop after this many webhooks that fit a contract.
        timeout_s: stop after this many seconds.
        on_ready: called with the webhook URL when the receiver accepts requests. Nobody can guess this URL, and
            requests to any other URL get 404.
        on_webhook: called with every validated webhook.

    Returns:
        All webhooks with their findings. `stop_reason` tells whether Ctrl-C ended the call.

    Raises:
        UnknownNameError: a name is not a provider.
        UsageError: the port is not available, or `public_url` is not an https URL.
    """
    listener = CallbackMonitor(select_providers(to_catalogue(contracts), providers), callback_timing=subscribed_events)
    waiting: queue.SimpleQueue[ReceivedCallback] = queue.SimpleQueue()
    webhooks: list[JudgedCallback] = []
    matching_count = 0
    stop_reason: StopReason | None = None
    with run_receiver(port=port, public_url=public_url, on_callback=waiting.put) as receiver:
        url = receiver.create_url(for_many_requests=True)
        try:
            on_ready(url)
            for received in _receive_until_timeout(waiting, timeout_s):
                webhooks.append(listener.judge_callback(received))
                on_webhook(webhooks[-1])
                matching_count += webhooks[-1].verdict != "unknown"
                if matching_count == max_webhooks:
                    break
        except KeyboardInterrupt:
            stop_reason = "interrupted"
    return ListenResult(voicegauge_version=__version__, url=url, webhooks=tuple(webhooks), stop_reason=stop_reason)


def _receive_until_timeout(
    callback_queue: queue.SimpleQueue[ReceivedCallback], timeout_s: float | None
) -> Iterator[ReceivedCallback]:
    """Yield the received callbacks until the time limit is reached."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while deadline is None or time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            yield callback_queue.get(timeout=QUEUE_CHECK_INTERVAL_S)
