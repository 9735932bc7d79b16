"""Adds the documented response headers, with values from the emulator's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicegauge.contract import Parameter
from voicegauge.emulator.http import SchemaValueBuilder
from voicegauge.emulator.responses.response import EmulatedResponse

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
