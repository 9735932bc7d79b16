"""Reads what a user should know about each rule beside its description, from `explanations.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec
import yaml

from voicegauge.formats import YAML_LOADER
from voicegauge.model import Record

EXPLANATIONS_FILE = Path(__file__).parent / "explanations.yaml"


class Explanation(Record, frozen=True, kw_only=True):
    """Why a rule matters, with an example of each outcome."""

    why: str
    """What goes wrong for a client if the rule is broken."""
    keeps: str
    """An example that keeps the rule."""
    breaks: str
    """An example that breaks the rule."""
    fault: str | None = None
    """Id of the emulator's fault that breaks the rule; `None` if no fault breaks this rule alone."""
    target: str | None = None
    """Bundled provider or target that shows the fault; by default the first that the fault applies to."""


@cache
def load_explanations() -> Mapping[str, Explanation]:
    """Return the explanations by rule id."""
    text = EXPLANATIONS_FILE.read_text(encoding="utf-8")
    return msgspec.convert(yaml.load(text, YAML_LOADER), dict[str, Explanation])  # noqa: S506 - it loads plain data
