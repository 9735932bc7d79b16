"""Renders the result of judging a server by a profile as one HTML page."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from voicegauge.printable_text import escape_unprintable
from voicegauge.profiles.badge import describe_score
from voicegauge.profiles.profile import RequirementLevel
from voicegauge.profiles.profile_report import ProfileReport, RequirementVerdict

if TYPE_CHECKING:
    from jinja2 import Template

_TITLE_BY_LEVEL: dict[RequirementLevel, str] = {
    "required": "Required",
    "optional": "Optional",
    "not-scored": "Not scored",
}
_LABEL_BY_VERDICT: dict[RequirementVerdict, str] = {
    "failed": "failed",
    "not-judged": "not judged",
    "passed": "passed",
    "not-offered": "not offered",
    "not-scored": "not scored",
}
"""Labels of the verdicts, in the order in which requirements are shown."""


def render_profile_page(report: ProfileReport) -> str:
    """Return the result as an HTML page in one file, without JavaScript."""
    order = list(_LABEL_BY_VERDICT)
    sections = [
        (
            title,
            sorted(
                (one for one in report.requirement_results if one.level == level), key=lambda r: order.index(r.verdict)
            ),
        )
        for level, title in _TITLE_BY_LEVEL.items()
    ]
    return _load_template().render(
        report=report, sections=sections, labels=_LABEL_BY_VERDICT, score_text=describe_score(report)
    )


@cache
def _load_template() -> Template:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_escape)
    text = (files("voicegauge.profiles") / "page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


def _escape(value: object) -> object:
    return escape_unprintable(value) if type(value) is str else value
