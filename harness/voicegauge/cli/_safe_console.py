"""A console of the library rich that prints escape sequences in untrusted texts as visible characters.

It is a module of its own, because importing rich takes longer than everything else that `--help` needs.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from voicegauge.printable_text import escape_unprintable


class SafeConsole(Console):
    """A console on which texts cannot move the cursor, change colors, or set the title of the terminal.

    Colors and cursor movements of rich itself are not part of a text and therefore still work.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object; control characters in its texts are escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape_unprintable(segment.text))
