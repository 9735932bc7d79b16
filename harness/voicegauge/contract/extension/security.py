"""Defines `x-key` on a security scheme: which variable has the key, and how the key is sent."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from voicegauge.model import Record

EnvironmentVariable = Annotated[str, Meta(pattern=r"^[A-Z_][A-Z0-9_]*$(?!\n)")]
"""Name of an environment variable in capital letters: it becomes part of shell commands."""


class KeySpec(Record, frozen=True, kw_only=True):
    """`x-key` on a security scheme."""

    env: EnvironmentVariable | None = None
    """Variable of what this scheme sends, such as a user id; by default `x-provider.key_env`."""
    prefix: Annotated[str, Meta(pattern=r"^[ -~]{0,40}$(?!\n)")] = ""
    """Text before the key in the header, query parameter or cookie, such as "Token "."""
