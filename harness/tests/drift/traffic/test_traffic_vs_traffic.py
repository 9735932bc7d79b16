from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from voicegauge.cli import cli
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.drift._recorded_traffic import ConversationPair, RecordedExchange
from voicegauge.drift._rule_catalogue import TRAFFIC_VS_TRAFFIC_RULES
from voicegauge.drift._traffic_vs_traffic import compare_traffic, compare_whole_responses
from voicegauge.drift.drift_report import DRIFT_RULE_BY_ID
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request
from voicegauge.recording.har_files import save_har

from .emulator_recordings import record, traffic
from .injections import json_response, with_json, with_response

Exchanges = tuple[Exchange, ...]
API = "https://api.pixelapi.dev"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_catalogue().find_provider("pixelapi")


@pytest.fixture(scope="module")
def exchanges(contract: Contract) -> Exchanges:
    return asyncio.run(record(contract.find_target_by_name("voice-design"), 5))


def _rules(contract: Contract, old: Exchanges, new: Exchanges) -> list[tuple[str, str]]:
    report = compare_traffic(traffic(contract, old), traffic(contract, new))
    return [(change.rule, change.location) for change in report.changes]


def _calls(*bodies: dict[str, Any], status: int = 404, **headers: str) -> Exchanges:
    """A call each, with another id in the request."""
    return tuple(
        Exchange(
            provider="pixelapi",
            operation="getSpeechStatus",
            request=Request(
                method="GET", url=f"{API}/v1/tts/status/job-{number}", headers=(("Authorization", "Bearer x"),)
            ),
            response=json_response(status, value, **headers),
        )
        for number, value in enumerate(bodies)
    )


def test_changes_come_in_the_order_of_the_conversation(contract: Contract) -> None:
    names = [f"call-{number}" for number in range(12)]

    def conversation(status: int) -> tuple[RecordedExchange, ...]:
        request = Request(method="GET", url=f"{API}/x")
        exchanges = (
            Exchange(provider="pixelapi", operation=name, request=request, response=json_response(status, {}))
            for name in names
        )
        return tuple(RecordedExchange(contract, "x.har", number, one, None, {}) for number, one in enumerate(exchanges))

    found = compare_whole_responses(
        [ConversationPair(conversation(200), conversation(500), has_identical_requests=True)]
    )
    assert [change.operation for change in found] == names


def test_another_charge_for_the_same_transcription_is_reported() -> None:
    def transcription(credits: str) -> Exchanges:
        request = Request(method="POST", url="https://api.tts.ai/v1/stt/", headers=(("Authorization", "Bearer x"),))
        response = json_response(200, {"text": "Good morning."}, X_Credits_Used=credits)
        return (Exchange(provider="ttsai", operation="transcribe", request=request, response=response),)

    found = _rules(load_catalogue().find_provider("ttsai"), transcription("20"), transcription("40"))
    assert ("recorded-charge-changed", "200 header.X-Credits-Used") in found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # what calls share is the provider's; what each has for itself is not
        (["a", "a"], ["b", "b"], ["recorded-value-new"]),
        (["a", "b"], ["c", "d"], []),
        (["a"], ["b"], []),
        ([7, 7], [8, 8], ["recorded-value-new"]),
        ([7, 8, 9], [17, 18, 19], []),
        ([10**400, 10**401], [10**402, 10**403], []),
        ([True, True], [False, False], ["recorded-value-new"]),
        # times, whether all calls fell into one second or not
        (["2026-01-01T10:00:00Z"] * 2, ["2026-02-01T10:00:00Z"] * 2, []),
        ([1_767_225_600] * 2, [1_769_904_000] * 2, []),
        # of a URL each part counts for itself
        (
            [f"https://a.example/{n}.wav?sig={n}" for n in "xyz"],
            [f"https://a.example/{n}.wav?sig={n}" for n in "uvw"],
            [],
        ),
        (
            [f"https://a.example/{n}.wav?sig={n}" for n in "xyz"],
            [f"https://b.example/{n}.mp3?sig={n}" for n in "uvw"],
            ["recorded-value-new", "recorded-value-new"],
        ),
        # most requests repeat their value, and one changed
        (["a", "b", "c", "d"], ["a", "b", "c", "e"], ["recorded-value-new"]),
        # words of a list
        ([["en", "fr", "de"]], [["en", "fr"]], ["recorded-value-gone"]),
        ([["en", "fr"]], [["fr", "en"]], []),
        ([["x1", "x2"]], [["y1", "y2"]], []),
        # types
        (["a", "b"], [None, None], ["recorded-type-changed"]),
        ([None, None], ["a", "b"], []),
        ([1, 2], [1.5, 2.5], []),
        (["1", "2"], [1, 2], ["recorded-type-changed"]),
    ],
)
def test_changes_of_an_undocumented_field(
    contract: Contract, old: list[Any], new: list[Any], expected: list[str]
) -> None:
    before, after = (_calls(*({"detail": "no", "free": value} for value in values)) for values in (old, new))
    assert [rule for rule, _ in _rules(contract, before, after)] == expected


def test_list_entries_are_matched_by_their_identifying_fields(contract: Contract) -> None:
    old = {
        "voices": [{"id": n, "model": m, "tier": "free"} for n, m in (("a", "x"), ("default", "x"), ("default", "y"))]
    }
    new = {"voices": [{**voice, "tier": "paid" if voice["id"] == "a" else "free"} for voice in reversed(old["voices"])]}
    assert _rules(contract, _calls(old), _calls(new)) == [("recorded-value-new", "404 body#/voices/*/tier")]


def test_a_field_that_became_sometimes_missing(contract: Contract) -> None:
    old, new = _calls(*({"a": 1, "b": 2},) * 3), _calls({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2})
    assert _rules(contract, old, new) == [("recorded-field-sometimes-gone", "404 body#/b")]
    assert _rules(contract, new, new[::-1]) == []


def test_a_removed_field_is_reported_without_its_inner_fields(contract: Contract) -> None:
    old, new = _calls(*({"a": {"b": {"c": 1}}},) * 2), _calls({}, {})
    assert _rules(contract, old, new) == [("recorded-field-gone", "404 body#/a")]


def test_a_temporary_rejection_is_not_breaking(contract: Contract) -> None:
    busy = _calls({"detail": "slow down"}, status=429)
    assert _rules(contract, _calls({"detail": "x"}), busy) == [("recorded-temporary-rejection", "status")]
    assert _rules(contract, busy, busy) == []


def test_a_job_that_ends_in_another_state(contract: Contract, exchanges: Exchanges) -> None:
    def fail(one: Exchange) -> Exchange:
        value = json.loads(one.response.body) if "json" in one.response.media_type else {}
        return with_json(one, {**value, "status": "failed"}) if value.get("status") == "completed" else one

    assert ("recorded-outcome-changed", "200 body#/status") in _rules(contract, exchanges, tuple(map(fail, exchanges)))


def test_a_request_that_is_not_repeated(contract: Contract, exchanges: Exchanges) -> None:
    without = tuple(one for one in exchanges if one.response.status != 401)
    assert ("recorded-request-not-repeated", "request") in _rules(contract, exchanges, without)
    assert _rules(contract, without, exchanges) == []


def test_redacted_keys_are_not_compared(contract: Contract) -> None:
    old = tuple(with_response(one, headers=(*one.response.headers, ("X-Key", "abc"))) for one in _calls({}, {}))
    new = tuple(with_response(one, headers=(*one.response.headers, ("X-Key", "[redacted]"))) for one in _calls({}, {}))
    assert _rules(contract, old, new) == []


MASKED = {"detail": "no", "auth": {"token": "[redacted]", "kind": "bearer"}}


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"token": "[redacted]", "kind": "bearer"}, []),
        ({"token": "another", "kind": "bearer"}, []),
        ({"token": None, "kind": "bearer"}, [("recorded-type-changed", "404 body#/auth/token")]),
        ({"token": 7, "kind": "bearer"}, [("recorded-type-changed", "404 body#/auth/token")]),
        ({"token": ["[redacted]"], "kind": "bearer"}, [("recorded-type-changed", "404 body#/auth/token")]),
        ({"kind": "bearer"}, [("recorded-field-gone", "404 body#/auth/token")]),
        ({"token": "[redacted]", "kind": "basic"}, [("recorded-value-new", "404 body#/auth/kind")]),
    ],
)
def test_redacted_fields_are_compared_by_presence_and_type(
    contract: Contract, auth: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    old, new = _calls(MASKED, MASKED), _calls(*({**MASKED, "auth": auth},) * 2)
    assert _rules(contract, old, new) == expected


def test_a_redacted_field_that_is_sometimes_missing_or_added(contract: Contract) -> None:
    old, new = _calls(*(MASKED,) * 3), _calls(MASKED, {**MASKED, "auth": {"kind": "bearer"}}, MASKED)
    assert _rules(contract, old, new) == [("recorded-field-sometimes-gone", "404 body#/auth/token")]
    assert _rules(contract, _calls({"detail": "no"}), _calls(MASKED)) == [("recorded-field-new", "404 body#/auth")]


def test_redacted_values_do_not_hide_changes_of_other_requests(contract: Contract) -> None:
    old = _calls(*({"free": value} for value in ("a", "a", "[redacted]")))
    new = _calls(*({"free": value} for value in ("b", "b", "[redacted]")))
    assert _rules(contract, old, new) == [("recorded-value-new", "404 body#/free")]


@pytest.mark.parametrize(("side", "rule"), [("new", "recorded-header-gone"), ("old", "recorded-header-new")])
def test_an_added_or_removed_redacted_header_is_found(contract: Contract, side: str, rule: str) -> None:
    keyed = tuple(with_response(e, headers=(*e.response.headers, ("X-Key", "[redacted]"))) for e in _calls({}, {}))
    old, new = (keyed, _calls({}, {})) if side == "new" else (_calls({}, {}), keyed)
    assert _rules(contract, old, new) == [(rule, "404 header.x-key")]


def test_the_rules_are_in_the_catalogue() -> None:
    mine = {rule.id for rule in DRIFT_RULE_BY_ID.values() if rule.comparison == "recordings"}
    assert mine == set(TRAFFIC_VS_TRAFFIC_RULES)


def test_from_the_command_line(contract: Contract, exchanges: Exchanges, tmp_path: Path) -> None:
    def moved(one: Exchange) -> Exchange:
        return with_response(one, headers=tuple((n, "next" if n == "server" else v) for n, v in one.response.headers))

    for name, recorded in (("old", exchanges), ("new", tuple(map(moved, exchanges)))):
        save_har(tmp_path / name / "one.har", recorded, provenance=Provenance.EMULATED, contract=contract)
    same = CliRunner().invoke(cli, ["drift", str(tmp_path / "old"), str(tmp_path / "old" / "one.har")])
    assert same.exit_code == 0
    assert "nothing has changed" in same.output
    arguments = ["drift", str(tmp_path / "old"), str(tmp_path / "new"), "--fail-on", "possibly-breaking"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 1, done.output
    assert "recorded-header-value-new" in done.output
    assert re.search(r"one\.har#/log/entries/\d+/response/headers#server", done.output)


def test_a_recording_of_an_unknown_provider(contract: Contract, exchanges: Exchanges, tmp_path: Path) -> None:
    saved = tmp_path / "one.har"
    save_har(saved, exchanges[:1], provenance=Provenance.EMULATED, contract=contract)
    other = json.loads(saved.read_text().replace('"pixelapi"', '"acme"'))
    saved.write_bytes(msgspec.json.encode(other))
    done = CliRunner().invoke(cli, ["drift", str(saved), str(saved)])
    assert "which has no known contract: name its folder with --contracts" in str(done.exception)
