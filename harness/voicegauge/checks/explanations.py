"""Reads the explanations of rules from `explanations.yaml`: why each rule matters, with examples."""

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
    """Why a rule matters, with an example that follows the rule and one that breaks it."""

    consequence: str
    """What goes wrong for a client if the rule is broken."""
    conforming_example: str
    """An example of traffic that follows the rule."""
    violating_example: str
    """An example of traffic that breaks the rule."""
    fault_id: str | None = None
    """Id of the fault of the emulator that breaks only this rule; `None` if there is no such fault."""
    emulated_target_id: str | None = None
    """Id of the provider or target that an example command emulates with the fault; `None` for the first that can have
    it."""


@cache
def load_explanations() -> Mapping[str, Explanation]:
    """Return the explanations by rule id."""
    text = EXPLANATIONS_FILE.read_text(encoding="utf-8")
    return msgspec.convert(yaml.load(text, YAML_LOADER), dict[str, Explanation])  # noqa: S506 - it loads plain data
