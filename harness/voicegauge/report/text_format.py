"""Formats numbers and untrusted text for reports, and renders the templates of their pages."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from voicegauge.bench.comparison_result import MetricComparison
from voicegauge.bench.estimates import Estimate
from voicegauge.bench.resampling import DifferenceInterval
from voicegauge.model.price import format_price_usd
from voicegauge.printable_text import escape_unprintable, format_count

if TYPE_CHECKING:
    from jinja2 import Environment


# Formats numbers, intervals and untrusted text for a report.


RANGE_DASH = "\N{EN DASH}"
"""Character between the ends of an interval."""
MISSING_TEXT = RANGE_DASH
"""Text shown instead of a missing number."""
UNKNOWN_INTERVAL_END_TEXT = "?"
"""Text shown instead of an end of an interval for which there are too few samples."""


def shorten_to_one_line(text: str, max_characters: int) -> str:
    """Join `text` into one line and cut it to `max_characters` characters."""
    line = " ".join(text.split())
    return line if len(line) <= max_characters else line[: max_characters - 1].rstrip() + "…"


def capitalize_sentence(text: str) -> str:
    """Capitalize the first letter of a sentence, unless its first word is the id of a target."""
    return text if "/" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def format_number(value: float | None, decimals: int = 0) -> str:
    """Format a number with thousands separators and some decimals: "1,234"; a dash for `None`."""
    return MISSING_TEXT if value is None else f"{value:,.{decimals}f}"


def format_ms(value: float | None) -> str:
    """Format milliseconds: one decimal below 10, where an integer would be too coarse, else none; a dash for `None`."""
    # 9.95 and above would be printed as 10.0.
    return format_number(value, 1 if value and value < 9.95 else 0)


def format_duration(duration_ms: float) -> str:
    """Format a time for an axis: "250 ms", "1.5 s", "120 s"."""
    if duration_ms < 1_000:
        return f"{duration_ms:g} ms"
    return f"{duration_ms / 1000:g} s"


def format_seconds(duration_s: float) -> str:
    """Format a duration for a sentence: "4.2 s", "48 s", "12 minutes"."""
    if duration_s < 9.95:
        return f"{duration_s:.1f} s"
    return f"{duration_s:.0f} s" if duration_s < 120 else f"{duration_s / 60:.0f} minutes"


def format_percent(rate: float | None) -> str:
    """Format a rate as a percentage without the percent sign: 1 becomes "100.0"; a dash for `None`."""
    return format_number(None if rate is None else rate * 100, 1)


def format_usd(value: float | None) -> str:
    """Format a price as `format_price_usd` does; a dash for `None`, a missing price."""
    return MISSING_TEXT if value is None else format_price_usd(value)


def format_interval(estimate: Estimate, scale: float = 1, decimals: int | None = None) -> str:
    """Format the ends of an interval, with a question mark for a missing end; empty if both ends are missing.

    Args:
        estimate: the estimate with its interval.
        scale: factor applied to both ends; 100 for percentages.
        decimals: number of decimals of both ends; `None` for as many as `format_ms` shows.
    """
    if estimate.low is None and estimate.high is None:
        return ""

    def format_end(interval_end: float | None) -> str:
        if interval_end is None:
            return UNKNOWN_INTERVAL_END_TEXT
        return format_ms(interval_end * scale) if decimals is None else format_number(interval_end * scale, decimals)

    return f"{format_end(estimate.low)}{RANGE_DASH}{format_end(estimate.high)}"


# Formats values of metrics and their changes, in the units that runs, comparisons and histories have.


MAX_RELATIVE_CHANGE_SHOWN = 10.0
"""Relative changes above this are shown as ">+1000%", because the exact factor would add no information."""


_NUMBER_FORMAT_BY_UNIT = {
    "rate": "{:,.1%}",
    "letters/s": "{:.2f}/s",
    "hz": "{:.1f} Hz",
    "db": "{:.1f} dB",
    "credits": "{:,.1f} credits",
    "rating": "{:.2f}",
    "similarity": "{:.2f}",
}
"""Formats of values by unit; milliseconds and prices have functions of their own."""


def format_value(unit: str, value: float) -> str:
    """Format a value of a metric with its unit: "512 ms", "5.1%" (0.051 with the unit "rate"), "14.20/s", "$15.00".

    `unit` is that of `MetricComparison`. A value with a unit that has no format here is an amount in US dollars.
    """
    if unit == "ms":
        return f"{format_ms(value)} ms"
    return _NUMBER_FORMAT_BY_UNIT[unit].format(value) if unit in _NUMBER_FORMAT_BY_UNIT else format_usd(value)


def format_change(unit: str, change: float) -> str:
    """Format a change: "+38.2%", "+5.0 points" of a rate, "+1.2 dB", and "-0.30" of a rating or a similarity."""
    if unit == "rate":
        return f"{100 * change:+.1f} points"
    if unit in ("rating", "similarity"):
        return f"{change:+.2f}"
    if unit == "db":
        return f"{change:+.1f} dB"
    return f">+{MAX_RELATIVE_CHANGE_SHOWN:.0%}" if change > MAX_RELATIVE_CHANGE_SHOWN else f"{change:+.1%}"


def format_change_interval(metric: MetricComparison) -> str:
    """Format the confidence interval of a change, such as "+2.1% to +9.8%"; empty if there is none."""
    if metric.interval_low is None:
        return ""
    if metric.interval_high is None:
        return f"{format_change(metric.unit, metric.interval_low)} or more"
    low, high = (format_change(metric.unit, end) for end in (metric.interval_low, metric.interval_high))
    return f"{low.removesuffix(' points').removesuffix(' dB')} to {high}"


# Formats numbers, intervals and lists of targets as phrases for sentences.


MAX_NAMED_TARGETS = 3
"""Largest number of targets that a sentence names; if there are more, it counts the others."""


def join_words(words: Sequence[str]) -> str:
    """Join words as in a sentence: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def format_target_names(targets: Sequence[str], first_target: str) -> str:
    """Return the names of at most three targets, beginning with `first_target`, and the number of the others."""
    names = [first_target, *(target for target in targets if target != first_target)]
    others = len(names) - MAX_NAMED_TARGETS
    if others > 0:
        return f"{', '.join(names[:MAX_NAMED_TARGETS])} and {format_count(others, 'other')}"
    return join_words(names)


def format_factor(interval: DifferenceInterval) -> str:
    """Format an interval of a factor, such as of latencies: "1.8 to 2.1 times"."""
    low, high = (_format_factor_value(end) for end in interval)
    if low == "1.00":
        return f"up to {high} times"
    return f"{low} times" if low == high else f"{low} to {high} times"


def _format_factor_value(value: float) -> str:
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1.15 else f"{value:.2f}"


def format_error_rate(estimate: Estimate) -> str:
    """Format an error rate with its interval, joined by an en dash: "4.5% (1.0\u20137.4)"."""
    interval = format_interval(estimate, 100, 1)
    return f"{format_percent(estimate.value)}%" + (f" ({interval})" if interval else "")


def format_time(estimate: Estimate) -> str:
    """Format a time with its interval, joined by an en dash: "492 ms (482\u2013586)"."""
    interval = format_interval(estimate)
    return f"{format_ms(estimate.value)} ms" + (f" ({interval})" if interval else "")


_LANGUAGE_TAG_PATTERN = re.compile(r"[a-z]{2}(-[A-Za-z]{2,4})?")
"""Matches a language tag that is safe as an HTML attribute, such as "pt-BR"."""


def render_template(
    template_file: str, style_sheet_files: Sequence[str], script_files: Sequence[str] = (), **values: object
) -> str:
    """Render a page that contains its style, its script and the Content Security Policy that allows only these.

    Args:
        template_file: name of a file in `templates`.
        style_sheet_files: names of files in `templates/styles`, in order.
        script_files: names of files in `templates/scripts`, in order; all of them share one scope.
        values: the variables of the template.
    """
    from markupsafe import Markup

    style, script = _read_asset_files("styles", style_sheet_files), _read_asset_files("scripts", script_files)
    template = create_template_environment().get_template(template_file)
    return template.render(
        values,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        # Allows the style and the script by their digests, audio in the page, and nothing else.
        policy=f"default-src 'none'; style-src '{_compute_csp_digest(style)}'; "
        f"script-src '{_compute_csp_digest(script)}'; img-src data:; media-src data:; base-uri 'none'; "
        "form-action 'none'",
    )


@cache
def create_template_environment() -> Environment:
    """Return the environment of all templates, which escapes everything that they print."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("voicegauge.report"),
        autoescape=True,
        # A misspelled name in a template raises an error instead of printing nothing.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Not subclasses: `Markup` is our own style and script, whose digest must not change.
        finalize=lambda value: escape_unprintable(value) if type(value) is str else value,
    )
    jinja.tests["language"] = lambda value: bool(_LANGUAGE_TAG_PATTERN.fullmatch(value))
    return jinja


def _read_asset_files(folder: str, file_names: Sequence[str]) -> str:
    templates = files("voicegauge.report") / "templates" / folder
    return "\n".join((templates / name).read_text(encoding="utf-8") for name in file_names)


def _compute_csp_digest(content: str) -> str:
    # Digests, not nonces: a page that is saved as a file has no server that could choose a nonce for each request.
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
