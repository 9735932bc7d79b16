"""Generated documentation is current, and the output of commands is valid by the published schemas."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from voicegauge import callback_receiver
from voicegauge.cli import run
from voicegauge.contract import _size_limits, schemas, socket_turns
from voicegauge.emulator import _accounts, server
from voicegauge.emulator.server import ClientLimits
from voicegauge.formats import bodies, located_yaml
from voicegauge.recording import masking, quoted_words
from voicegauge.relay import traffic_monitor
from voicegauge.relay.relay_server import RELAY_CLIENT_LIMITS
from voicegauge.speech.decoding import MAX_AUDIO_DURATION_S
from voicegauge.transport import http, websocket

ROOT = Path(__file__).resolve().parents[3]


def test_generated_files_are_current(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    script = ROOT / "docs" / "generate.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--check"])
    assert runpy.run_path(str(script))["main"]() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["providers"], "providers"),
        (["rules"], "rules"),
        (["check", "pixelapi"], "check"),
    ],
)
def test_output_is_valid_by_its_schema(arguments: list[str], schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--json", "-"]) == 0
    published = json.loads((ROOT / "docs" / f"{schema}.schema.json").read_text())
    jsonschema_rs.validate(published, json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("schema", ["run", "report", "bench", "compare", "history"])
def test_every_number_that_a_command_writes_is_defined(schema: str) -> None:
    """Walks over the keys of the published schema, and not over the records from which the table is generated."""
    definitions = json.loads((ROOT / "docs" / f"{schema}.schema.json").read_text())["$defs"]

    def holds_numbers(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        if value.get("type") in {"integer", "number"}:
            return True
        inner = [*value.get("anyOf", ()), value.get("items"), value.get("additionalProperties")]
        return any(map(holds_numbers, [*inner, *value.get("prefixItems", ())]))

    numbers = [
        f"{record}.{key}"
        for record, definition in definitions.items()
        for key, value in definition.get("properties", {}).items()
        if holds_numbers(value)
    ]
    assert len(numbers) > 10
    page = (ROOT / "docs" / "methodology.md").read_text()
    defined = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert [name for name in numbers if not defined.get(name)] == [], "docs/generate.py takes docstrings"


MIB = 2**20
RECEIVER, EMULATOR = callback_receiver, ClientLimits()
LIMITS = [
    ("{:g} MiB for a body,", http.MAX_BODY_BYTES / MIB),
    ("{:g} MiB and a depth of {} for JSON,", bodies.MAX_JSON_BYTES / MIB, bodies.MAX_JSON_DEPTH),
    ("messages of {:g} MiB,", websocket.MAX_MESSAGE_BYTES / MIB),
    ("{:g} MiB in all, and {:,} frames", websocket.MAX_CONNECTION_BYTES / MIB, websocket.MAX_CONNECTION_FRAMES),
    ("{:g} million characters", socket_turns.MAX_TRANSCRIPT_CHARACTERS / MIB),
    ("Of a response above {:g} KiB", quoted_words.MAX_COMPARED_BYTES / 1024),
    ("A chain of references may have {} links", schemas.MAX_REFERENCE_CHAIN_LENGTH),
    ("may combine or require {:,} others", _size_limits.MAX_SCHEMA_SIZE),
    ("could find more than {:,} errors", _size_limits.MAX_NESTED_ERRORS),
    ("limits of size ({:g} MiB), depth and number of values", located_yaml.MAX_DOCUMENT_BYTES / MIB),
    ("more than {:,} lines or values,", masking.MAX_STREAM_LINES_AND_VALUES),
    ("or with a line above {:g} MiB", bodies.MAX_JSON_BYTES / MIB),
    ("16 KiB in {} headers. One URL", server.MAX_HEADER_COUNT),
    (
        "a body may have {:g} MiB, path and headers {:g} KiB",
        RECEIVER.MAX_CALLBACK_BODY_BYTES / MIB,
        server.MAX_HEADER_BYTES / 1024,
    ),
    ("{} callbacks or {:g} MiB, the", RECEIVER.MAX_CALLBACKS_PER_URL, RECEIVER.MAX_BYTES_PER_URL / MIB),
    ("receiver {:,} callbacks or {:g} MiB", RECEIVER.MAX_STORED_CALLBACKS, RECEIVER.MAX_STORED_CALLBACK_BYTES / MIB),
    ("copies of bodies {:g} MiB each", traffic_monitor.MAX_JUDGED_BODY_BYTES / MIB),
    ("and {:g} MiB together", traffic_monitor.MAX_TOTAL_CAPTURED_BYTES / MIB),
    ("Of more than {} connections", RELAY_CLIENT_LIMITS.max_connections),
    ("a body may have {:g} MiB (JSON and URL-encoded forms)", server.MAX_TEXT_BODY_BYTES / MIB),
    ("or {:g} MiB (uploads)", server.MAX_UPLOAD_BYTES / MIB),
    ("the journal takes at most {:g} MiB.", _accounts.MAX_JOURNAL_BYTES / MIB),
    ("All bodies together may have {:g} MiB", server.MAX_BODY_MEMORY_BYTES / MIB),
    ("Bodies may have {:g} MiB", server.MAX_CONTROL_BODY_BYTES / MIB),
    ("headers must arrive within {:g} seconds,", EMULATOR.headers_timeout_s),
    ("a body within {:g} minutes without a pause of", EMULATOR.body_timeout_s / 60),
    ("a pause of {:g} seconds.", EMULATOR.body_pause_timeout_s),
    ("must be taken without a pause of {:g} minutes", EMULATOR.write_timeout_s / 60),
    ("Of more than {} connections", EMULATOR.max_connections),
]
"""Sentences of `docs/security.md` with a limit, and the limits in the code."""


def test_the_security_page_states_the_limits_of_the_code() -> None:
    page = " ".join((ROOT / "docs" / "security.md").read_text().split())
    assert [one for text, *values in LIMITS if (one := text.format(*values)) not in page] == []
    assert MAX_AUDIO_DURATION_S == 30 * 60
    assert "thirty minutes for audio" in page


def test_the_tests_that_the_security_page_names_exist() -> None:
    named = re.findall(r"`(?:harness/tests/[a-z]+/)?(test_\w+\.py)`", (ROOT / "docs" / "security.md").read_text())
    assert len(named) >= 5
    assert [one for one in named if not any((ROOT / "harness" / "tests").rglob(one))] == []
