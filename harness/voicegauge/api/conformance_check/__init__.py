"""Checks whether an API behaves as its contract says."""

from __future__ import annotations

from voicegauge.api.conformance_check.checking import check
from voicegauge.api.conformance_check.planning import plan_check
from voicegauge.api.conformance_check.profile_judging import check_profile
from voicegauge.api.conformance_check.single_requests import check_job_steps, check_request

__all__ = ["check", "check_job_steps", "check_profile", "check_request", "plan_check"]
