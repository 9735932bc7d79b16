"""A shell completes known names, as click passes them to bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


COMPLETED_BY_WORDS = {
    "check pixelapi/": "pixelapi/voice-design pixelapi/voice-clone",
    "check pixelapi --select audio-trunc": "audio-truncated",
    "serve --fault backwards-": "backwards-transition",
    "check --emu": "--emulated",
}


@pytest.mark.slow
def test_bash_completes_what_is_typed() -> None:
    """Bash itself evaluates the documented line, and calls the function that it defines."""
    script = ['eval "$(_VOICEGAUGE_COMPLETE=bash_source voicegauge)"', "name=$(complete -p voicegauge)"]
    script += ["name=${name##*-F }", "name=${name% voicegauge}"]
    for words in COMPLETED_BY_WORDS:
        script += [f"COMP_WORDS=(voicegauge {words}) COMP_CWORD={len(words.split())} COMPREPLY=()"]
        script += [f'$name voicegauge {words.split()[-1]} ""', 'echo "${COMPREPLY[*]}"']
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert dict(zip(COMPLETED_BY_WORDS, done.stdout.splitlines(), strict=True)) == COMPLETED_BY_WORDS
