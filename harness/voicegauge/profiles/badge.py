"""Renders the score of a server as an SVG badge."""

from __future__ import annotations

from voicegauge.outputs import format_badge_svg
from voicegauge.profiles.profile_report import ProfileReport


def render_profile_badge(report: ProfileReport) -> str:
    """Return an SVG image with the name of the profile and the score."""
    return format_badge_svg(report.profile_id, describe_score(report), report.verdict)


def describe_score(report: ProfileReport) -> str:
    """Return the score in a few words, such as "27 of 29, 1 not judged"."""
    score = report.score
    if not score.required_judged_count:
        return "not judged"
    missing = score.required_not_judged_count
    return (
        f"{score.required_passed_count} of {score.required_judged_count}{f', {missing} not judged' if missing else ''}"
    )
