"""Renders the score of a server as an SVG badge."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from voicegauge.profiles.profile_report import ProfileReport, ProfileVerdict

_COLOR_BY_VERDICT: dict[ProfileVerdict, str] = {"passed": "#256f3a", "failed": "#9a1b1b", "not-judged": "#55606b"}
"""White text has a contrast of at least 5:1 on each of them."""
_CHARACTER_WIDTH = 6.6
"""Width of a character of 11 pixels in Verdana, on average."""
_PADDING = 12


def render_profile_badge(report: ProfileReport) -> str:
    """Return an SVG image with the name of the profile and the score."""
    label, score = report.profile, describe_score(report)
    widths = [round(len(text) * _CHARACTER_WIDTH) + _PADDING for text in (label, score)]
    title = f"{label}: {score}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths)}" height="20" role="img" '
        f"aria-label={quoteattr(title)}>\n"
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{sum(widths)}" height="20" rx="3" fill="{_COLOR_BY_VERDICT[report.verdict]}"/>\n'
        f'<path d="M3 0h{widths[0] - 3}v20h-{widths[0] - 3}a3 3 0 0 1-3-3v-14a3 3 0 0 1 3-3z" fill="#30363d"/>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\n'
        f'<text x="{widths[0] / 2:g}" y="14">{escape(label)}</text>\n'
        f'<text x="{widths[0] + widths[1] / 2:g}" y="14">{escape(score)}</text>\n'
        "</g>\n</svg>\n"
    )


def describe_score(report: ProfileReport) -> str:
    """Return the score in a few words, such as "27 of 29, 1 not judged"."""
    score = report.score
    if not score.required_judged:
        return "not judged"
    missing = score.required_not_judged
    return f"{score.required_passed} of {score.required_judged}{f', {missing} not judged' if missing else ''}"
