"""Sending webhooks: one POST, tried again where the receiver fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from voicegauge.contract.extension import WebhookEmulation
from voicegauge.emulator.settings import SERVER_NAME, EmulatorSettings
from voicegauge.hosts import is_loopback


def may_reach(url: str, settings: EmulatorSettings) -> bool:
    """Whether something may be sent to `url`: it is on this machine, or on a host that was named."""
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host in settings.webhook_hosts


async def deliver(
    url: str, payload: bytes, plan: WebhookEmulation, pause: Callable[[float], Awaitable[None]]
) -> int | None:
    """POST `payload` as JSON until it is answered with 2xx or 4xx, or the attempts are used up.

    Redirects are not followed, and no proxy is asked.

    Args:
        url: of the receiver.
        payload: JSON.
        plan: how often, and how long to wait for an answer.
        pause: waits so many seconds between two attempts.

    Returns:
        The status of the last answer; `None` where there was none.
    """
    import httpx

    headers = {"Content-Type": "application/json", "User-Agent": SERVER_NAME}
    status: int | None = None
    async with httpx.AsyncClient(timeout=plan.timeout_s, trust_env=False) as client:
        for attempt in range(plan.attempts):
            if attempt:
                await pause(plan.wait_s)
            try:
                status = (await client.post(url, content=payload, headers=headers)).status_code
            except (httpx.HTTPError, httpx.InvalidURL):
                status = None
                continue
            if status < 500:
                break
    return status
