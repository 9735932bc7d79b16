"""Escapes untrusted text for GitHub's Markdown."""

from __future__ import annotations


def escape_markdown(text: str) -> str:
    """Escape untrusted text so that it stays in one table cell, without markup, mentions or line breaks."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|#!~$":
        plain = plain.replace(mark, f"\\{mark}")
    # A backslash does not stop an @mention from notifying a user; a zero-width space does.
    return plain.replace("@", "@\u200b")
