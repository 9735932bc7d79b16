"""Makes untrusted text safe to print on a terminal or in a report, and formats counts and lists of names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_UNPRINTABLE_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, which HTML forbids
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks, which reorder the visible text
    "\u2028\u2029\ufeff\ufdd0-\ufdef\ufffe\uffff"  # line separators, byte order mark, noncharacters
    "\ud800-\udfff]"  # lone surrogates, which UTF-8 cannot encode
)


def escape_unprintable(text: str) -> str:
    """Replace each character that hides, reorders or breaks other text by its escaped code point."""
    return _UNPRINTABLE_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def format_count(count: int, noun: str) -> str:
    """Return a number, with commas between thousands, and its noun: "1 operation", "3,000 operations"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_names(names: Sequence[str], max_count: int, *, separator: str = ", ", hint: str = "") -> str:
    """Return the first names, and how many others there are: "a, b, c and 1,200 more (--json has all)".

    Args:
        names: the names.
        max_count: largest number of names that are shown.
        separator: what stands between names; "; " if names contain commas.
        hint: follows the number of the others, such as " (--json has all)".
    """
    others = len(names) - max_count
    shown = separator.join(names[:max_count])
    return shown if others <= 0 else f"{shown}{separator.strip(' ,')} and {others:,} more{hint}"


def describe_repetitions(count_by_cause: Mapping[str, int]) -> str:
    """Return how often requests were repeated, and after what; an empty text if none was.

    Args:
        count_by_cause: number of repetitions by the HTTP status before them, or another cause.
    """
    if not count_by_cause:
        return ""
    total = format_count(sum(count_by_cause.values()), "time")
    if len(count_by_cause) == 1:
        return f"requests were repeated {total} after {next(iter(count_by_cause))}"
    parts = ", ".join(f"{count:,} after {cause}" for cause, count in count_by_cause.items())
    return f"requests were repeated {total}: {parts}"
