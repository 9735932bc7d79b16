"""A console of the library rich that prints escape sequences in untrusted texts as visible characters.

It is a module of its own, because importing rich takes longer than everything else that `--help` needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from voicegauge.printable_text import escape_unprintable

_COMMAND_PATTERN = re.compile(r"\b(voicegauge [a-z]|curl |pip install|VOICEGAUGE_)")


class SafeConsole(Console):
    """A console on which texts cannot move the cursor, change colors, or set the title of the terminal.

    Colors and cursor movements of rich itself are not part of a text and therefore still work.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print `objects`. On a terminal, sentences are broken between words; elsewhere, each is one line.

        A sentence with a command is broken nowhere: one that is broken by the terminal alone can still be copied.
        With `soft_wrap=False`, sentences are broken everywhere.
        """
        text = " ".join(map(str, objects))
        options.setdefault("soft_wrap", all(isinstance(one, str | Text) for one in objects))
        if options["soft_wrap"] and self.file.isatty() and not _COMMAND_PATTERN.search(text):
            options["soft_wrap"] = any(len(word) > self.width for word in text.split())
        super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object; control characters in its texts are escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape_unprintable(segment.text))
