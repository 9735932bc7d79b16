"""Delivers a callback, with retries."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from voicegauge.contract.extension import WebhookEmulation
from voicegauge.emulator.settings import SERVER_HEADER_VALUE, EmulatorSettings
from voicegauge.hosts import is_loopback


def may_send_callback_to(url: str, settings: EmulatorSettings) -> bool:
    """Whether callbacks may be sent to `url`, because it is on this machine or on a host that the settings allow."""
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host in settings.webhook_hosts


@functools.cache
def _create_ssl_context() -> ssl.SSLContext:
    """Return the TLS context with the trusted certificates. All callbacks share it, because loading takes 30 ms."""
    import httpx

    return httpx.create_ssl_context()


async def send_callback_with_retries(
    url: str,
    payload: bytes,
    webhook_emulation: WebhookEmulation,
    sleep: Callable[[float], Awaitable[None]],
    signature_headers: Mapping[str, str] = MappingProxyType({}),
) -> int | None:
    """POST `payload` until the receiver responds with a status below 500, or all attempts are used.

    Redirects are not followed and proxies are not used: the callback must not leave the allowed hosts.

    Args:
        url: URL of the receiver.
        payload: JSON body.
        webhook_emulation: the number of attempts, the timeout and the delay between attempts.
        sleep: function that waits for a duration in seconds, used between attempts.
        signature_headers: headers that sign the payload; empty if callbacks are not signed.

    Returns:
        The last status code; `None` if the last attempt got no response.
    """
    import httpx

    headers = {"Content-Type": "application/json", "User-Agent": SERVER_HEADER_VALUE, **signature_headers}
    status: int | None = None
    timeout_s = webhook_emulation.response_timeout_s
    async with httpx.AsyncClient(timeout=timeout_s, trust_env=False, verify=_create_ssl_context()) as client:
        for attempt in range(webhook_emulation.max_attempts):
            if attempt:
                await sleep(webhook_emulation.retry_delay_s)
            try:
                status = (await client.post(url, content=payload, headers=headers)).status_code
            except (httpx.HTTPError, httpx.InvalidURL):
                status = None
                continue
            if status < 500:
                break
    return status
