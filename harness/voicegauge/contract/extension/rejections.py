"""Defines the reasons for which a provider rejects a request."""

from __future__ import annotations

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
