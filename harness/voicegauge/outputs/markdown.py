"""Words from outside in GitHub's Markdown."""

from __future__ import annotations


def as_text(words: str) -> str:
    """`words`, which may be hostile, as text for one cell of a table: no markup, no mention, no new cell."""
    plain = " ".join(words.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|#!~$":
        plain = plain.replace(mark, f"\\{mark}")
    # A backslash does not stop a mention; an invisible space does.
    return plain.replace("@", "@\u200b")
