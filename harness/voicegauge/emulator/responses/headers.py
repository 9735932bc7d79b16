"""Documented headers with true values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicegauge.contract import Parameter, parse_location
from voicegauge.emulator.http import Shaper
from voicegauge.emulator.responses.reply import Reply

_EPOCH_FROM = 1_000_000_000
"""An example this large is a time, not a number of seconds to wait."""
BUSY_RETRY_S = 1


def dress(reply: Reply, rate: Mapping[str, int]) -> None:
    """Add the headers that the response documents: of the rate limit, of what was charged, and required ones.

    Args:
        reply: changed in place.
        rate: as `Accounts.rate_facts` gives it.
    """
    if reply.spec is None or reply.operation is None:
        return
    roles = {name.lower(): role for role, name in reply.operation.limits.headers.items()}
    roles.setdefault("retry-after", "retry_after")
    present = {name.lower() for name in reply.headers}
    for name, header in reply.spec.headers.items():
        if name.lower() in present:
            continue
        value = _value(reply, header, roles.get(name.lower()), rate)
        if value is not None:
            reply.headers[name] = value


def _value(reply: Reply, header: Parameter, role: str | None, rate: Mapping[str, int]) -> str | None:
    if role is not None:
        return _rate_value(reply, header, role, rate)
    charged = _charged(reply, header.name)
    if charged is not None:
        return f"{charged:.6f}".rstrip("0").rstrip(".")
    if not header.required:
        return None
    shaper = Shaper(header.contract.schemas)
    return str(shaper.sample(header.data.get("schema", {}), f"{header.pointer}/schema"))


def _rate_value(reply: Reply, header: Parameter, role: str, rate: Mapping[str, int]) -> str | None:
    limited = reply.situation == "rate-limited"
    if role == "retry_after":
        return str(rate["retry_after"] if limited else BUSY_RETRY_S)
    if role == "reset":
        return str(rate["reset"] if _is_time(header) else rate["retry_after"])
    if role == "remaining" and limited:
        return "0"
    return str(rate[role]) if role in rate else None


def _charged(reply: Reply, name: str) -> float | None:
    """What the job was charged, where `name` is a header that tells of charges somewhere in the contract."""
    if reply.job is None or reply.operation is None:
        return None
    for operation in reply.operation.contract.operations.values():
        place = operation.speech.answer.charged if operation.speech else None
        if place is not None and place.startswith("header.") and parse_location(place).key.lower() == name.lower():
            return reply.job.charge
    return None


def _is_time(header: Parameter) -> bool:
    shown: list[Any] = [header.data.get("example"), header.schema.get("example"), header.schema.get("minimum")]
    shown += header.schema.get("examples", [])
    return any(isinstance(value, int | float) and value >= _EPOCH_FROM for value in shown)
