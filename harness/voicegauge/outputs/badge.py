"""Writes a result in a few words as an SVG badge, for a README or a dashboard."""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from voicegauge.printable_text import escape_unprintable

BadgeVerdict = Literal["passed", "failed", "not-judged"]

_COLOR_BY_VERDICT: dict[BadgeVerdict, str] = {"passed": "#256f3a", "failed": "#9a1b1b", "not-judged": "#55606b"}
"""Background colors; white text has a contrast of at least 5:1 on each of them."""
_CHARACTER_WIDTH_PX = 6.6
"""Average width in pixels of a character of Verdana with a size of 11 pixels."""
_PADDING_PX = 12


def format_badge_svg(label: str, result_text: str, verdict: BadgeVerdict) -> str:
    """Return an SVG image with a label and a result.

    Args:
        label: what was judged.
        result_text: the result in a few words.
        verdict: determines the color.
    """
    label, result_text = escape_unprintable(label), escape_unprintable(result_text)
    widths = [round(len(text) * _CHARACTER_WIDTH_PX) + _PADDING_PX for text in (label, result_text)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sum(widths)}" height="20" role="img" '
        f"aria-label={quoteattr(f'{label}: {result_text}')}>\n"
        f"<title>{escape(f'{label}: {result_text}')}</title>\n"
        f'<rect width="{sum(widths)}" height="20" rx="3" fill="{_COLOR_BY_VERDICT[verdict]}"/>\n'
        f'<path d="M3 0h{widths[0] - 3}v20h-{widths[0] - 3}a3 3 0 0 1-3-3v-14a3 3 0 0 1 3-3z" fill="#30363d"/>\n'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">\n'
        f'<text x="{widths[0] / 2:g}" y="14">{escape(label)}</text>\n'
        f'<text x="{widths[0] + widths[1] / 2:g}" y="14">{escape(result_text)}</text>\n'
        "</g>\n</svg>\n"
    )
