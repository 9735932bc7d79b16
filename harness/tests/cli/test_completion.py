"""A shell completes known names, as click passes them to bash."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from voicegauge.cli._options import complete_name
from voicegauge.options import Completion


@pytest.mark.parametrize(
    ("kind", "incomplete", "expected"),
    [
        (Completion.PROVIDER, "pixa", "pixazo"),
        (Completion.TARGET, "pixe", "pixelapi"),
        (Completion.TARGET, "pixelapi/voice-c", "pixelapi/voice-clone"),
        (Completion.RULE, "audio-sil", "audio-silent"),
        (Completion.FAULT, "backwards-", "backwards-transition"),
        (Completion.SUITE, "smo", "smoke"),
    ],
)
def test_known_names_are_completed(kind, incomplete, expected) -> None:
    items = complete_name(kind, incomplete)
    assert expected in [item.value for item in items]
    assert all(item.value.startswith(incomplete) and item.help for item in items)


def test_an_unknown_provider_has_no_targets() -> None:
    assert complete_name(Completion.TARGET, "nobody/") == []


def test_bash_gets_the_targets_of_a_provider() -> None:
    shell = {"_VOICEGAUGE_COMPLETE": "bash_complete", "COMP_WORDS": "voicegauge check pixelapi/", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "voicegauge"], env=os.environ | shell, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["plain,pixelapi/voice-design", "plain,pixelapi/voice-clone"]
