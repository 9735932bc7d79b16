"""`voicegauge explain`: every rule has an explanation, and the named faults are those that break it."""

from __future__ import annotations

from pathlib import Path

import pytest

import voicegauge
from voicegauge.cli import run
from voicegauge.emulator.client_findings import CLIENT_RULES
from voicegauge.errors import UsageError
from voicegauge.rules.registry import RULE_BY_ID


def test_every_rule_is_explained() -> None:
    for rule in RULE_BY_ID.values():
        texts = (rule.explanation.consequence, rule.explanation.conforming_example, rule.explanation.violating_example)
        assert all(texts)
        assert bool(rule.shown_by) != bool(rule.unshown_reason)


def test_the_explanation_of_a_rule_is_printed_with_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "audio-silent"]) == 0
    printed = capsys.readouterr().out
    for words in ("audio-silent (error)", "The audio is not silent.", "why", "keeps it", "breaks it"):
        assert words in printed
    assert "--emulated --fault silent-audio --select audio-silent" in printed


def test_a_rule_of_drift_has_the_meaning_of_its_level(capsys: pytest.CaptureFixture[str]) -> None:
    rule = voicegauge.list_rules(["drift"]).drift_rules[0]
    assert run(["explain", rule.id]) == 0
    assert rule.description in capsys.readouterr().out


def test_all_rules_about_clients_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["rules", "client"], ["rules"]):
        assert run(arguments) == 0
        printed = capsys.readouterr().out
        assert [rule_id for rule_id in CLIENT_RULES if rule_id not in printed] == []


@pytest.mark.parametrize("rule_id", CLIENT_RULES)
def test_a_rule_about_clients_is_explained(rule_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", rule_id]) == 0
    printed = capsys.readouterr().out
    rule = voicegauge.explain_rule(rule_id)
    assert rule.consequence
    for words in (f"{rule_id} (client)", rule.description, "why"):
        assert words in printed


def test_the_guide_has_the_rules_about_clients() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "realtime.md").read_text(encoding="utf-8")
    for rule_id, rule in CLIENT_RULES.items():
        assert f"| `{rule_id}` | {rule.description} |" in guide


def test_an_unknown_rule_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="did you mean audio-silent or "):
        voicegauge.explain_rule("audio-silence")
    assert run(["explain", "zzz"]) == 2
    said = (
        "unknown rule or fault 'zzz': `voicegauge explain` lists all rules, `voicegauge serve --fault list` all faults"
    )
    assert capsys.readouterr().err == f"voicegauge: {said}\n"


def test_a_fault_names_what_finds_it_or_why_nothing_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "wrong-type"]) == 0
    printed = capsys.readouterr().out
    assert "A check finds it by response-schema." in printed
    assert "--emulated --fault wrong-type --select response-schema" in printed
    assert run(["explain", "slow"]) == 0
    assert "No document states how fast a response must be." in capsys.readouterr().out


def test_an_id_that_a_rule_and_a_fault_share_explains_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "voice-ignored"]) == 0
    printed = capsys.readouterr().out
    for words in ("voice-ignored (error)", "Another voice gives other audio.", "voice-ignored (fault)", "found"):
        assert words in printed
    fault = voicegauge.explain_rule("voice-ignored").fault_of_same_id
    assert fault is not None
    assert fault.description == "Every voice sounds like the default one."
    assert voicegauge.explain_rule("audio-silent").fault_of_same_id is None


def test_without_a_rule_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    assert "webhook-forged" in capsys.readouterr().out
