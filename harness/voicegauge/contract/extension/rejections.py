"""Defines the reasons for which a provider rejects a request, and their usual status codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

RejectionReason = Literal[
    "invalid",
    "unauthorized",
    "no-credit",
    "forbidden",
    "not-found",
    "expired",
    "too-large",
    "rate-limited",
    "internal",
    "busy",
]
"""Why a provider rejects a request. `x-rejection-reason` gives the reason for the example of an error response."""
STATUS_CODES_BY_REASON: Mapping[str, tuple[int, ...]] = {
    "invalid": (400, 422),
    "unauthorized": (401,),
    "no-credit": (402,),
    "forbidden": (403,),
    "not-found": (404,),
    "expired": (410, 404),
    "too-large": (413, 400, 422),
    "rate-limited": (429,),
    "internal": (500,),
    "busy": (503,),
}
"""Common status codes for each rejection reason, most likely first; the first one that is documented is used."""
