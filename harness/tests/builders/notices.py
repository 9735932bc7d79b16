"""A listener that keeps the notices of a command."""

from __future__ import annotations

import voicegauge


class NoticeList(voicegauge.ProgressListener):
    """Appends every notice to a list, in order."""

    def __init__(self, lines: list[str] | None = None) -> None:
        """Keep notices in `lines`; in a new list without it."""
        self.lines: list[str] = [] if lines is None else lines

    def notice(self, text: str) -> None:
        self.lines.append(text)
