"""Baselines: findings that are accepted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from voicegauge.errors import DataError
from voicegauge.files import read_file
from voicegauge.model.base import Record
from voicegauge.printable_text import escape_unprintable

# Writes a result in a few words as an SVG badge, for a README or a dashboard.


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


# Reads and writes baselines: findings that a team knows and accepts, so that a command reports only new ones.


class AcceptedFinding(Record, frozen=True, kw_only=True):
    """One accepted finding. Only the fingerprint is compared; the other fields are for readers of the file."""

    fingerprint: str
    rule: str
    provider: str
    operation: str | None = None
    contract_pointer: str | None = None
    """JSON pointer to the statement of the contract that was violated; for drift, to the changed part of the contract.
    """
    body_pointer: str | None = None
    """JSON pointer to the part of the body that the finding is about; `None` if it is not about a part of a body."""
    message: str

    def __str__(self) -> str:
        """Format the finding as one line, for a message about an accepted finding that no longer occurs."""
        return f"{self.rule} {self.provider}/{self.operation or ''}: {self.message}"


class FindingsBaseline(Record, frozen=True, kw_only=True):
    """The content of a baseline file."""

    schema: Literal["voicegauge/baseline/1"] = "voicegauge/baseline/1"
    accepted_findings: tuple[AcceptedFinding, ...] = ()

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of all accepted findings."""
        return frozenset(entry.fingerprint for entry in self.accepted_findings)


def build_baseline(accepted_findings: Iterable[AcceptedFinding]) -> FindingsBaseline:
    """Build a baseline with one accepted finding per fingerprint, sorted so that a rewritten file has a small diff."""
    by_fingerprint = {entry.fingerprint: entry for entry in accepted_findings}
    ordered = sorted(by_fingerprint.values(), key=lambda e: (e.provider, e.operation or "", e.rule, e.fingerprint))
    return FindingsBaseline(accepted_findings=tuple(ordered))


def load_baseline(path: Path) -> FindingsBaseline:
    """Read a baseline file.

    Raises:
        DataError: the file cannot be read, or is not a baseline of this version.
    """
    try:
        return msgspec.json.decode(read_file(path), type=FindingsBaseline)
    except FileNotFoundError as error:
        raise DataError(f"the baseline {path} does not exist: write it with --write-baseline {path}") from error
    except OSError as error:
        raise DataError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a valid baseline: {error}; write one with --write-baseline") from error
