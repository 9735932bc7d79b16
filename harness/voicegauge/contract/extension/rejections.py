"""Why a request is refused."""

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
"""Why a request is refused. Each has a usual status code; `x-rejection-reason` on an example says more."""
