"""WebSockets: every planted fault is found by its rule, and correct services have no finding."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import voicegauge
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.delivery_cases import INTERRUPTION_COUNT
from voicegauge.cli._check_tables import print_report
from voicegauge.client.client import Client
from voicegauge.client.ledger import Ledger
from voicegauge.client.socket_session import SocketSession, open_session
from voicegauge.conformance import _socket_sender
from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.contract import SocketTarget
from voicegauge.contract.loading import Catalogue
from voicegauge.emulator import _socket_connection
from voicegauge.emulator._speech_synthesis import SynthesisRequest, SynthesizedSpeech, synthesize
from voicegauge.emulator.process import RunningEmulator
from voicegauge.errors import BudgetError
from voicegauge.hosts import to_socket_url
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity, TextPacing, split_into_tokens
from voicegauge.model.exchange import (
    ABNORMAL_CLOSE_CODE,
    NO_STATUS_CLOSE_CODE,
    Interruption,
    Request,
    SocketClose,
    SocketMessage,
    SocketTraffic,
)
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import FaultExample, Rule
from voicegauge.rules.socket_subjects import SocketConnection, SpokenTurn
from voicegauge.transport.http import Transport

from ..builders.documented_examples import read_example
from ..builders.fault_examples import assert_found, list_fault_examples

TARGETS = (
    "cartesia/sonic-3.5-socket",
    "elevenlabs/flash-multi-context",
    "elevenlabs/flash-stream-input",
    "deepgram/aura-2-socket",
    "deepgram/flux-tts-socket",
    "lmnt/blizzard-session",
    "murf/falcon-socket",
    "openai/gpt-realtime-1.5",
)
FEW_TARGETS = ("deepgram/aura-2-socket", "openai/gpt-realtime-1.5")
"""A turn that is flushed, and a conversation."""
_KIND_BY_FAULT = {
    "socket-key-ignored": "key",
    "socket-limit-ignored": "contexts",
    "socket-close-code": "contexts",
    "socket-other-context": "parallel",
    "socket-audio-leaked": "parallel",
    "socket-rate-ignored": "format",
    "socket-audio-stale": "interruptions",
    "socket-cancel-ignored": "interruptions",
}
"""The cases that show a fault; "turns" for all others. Fewer cases make the tests faster but not weaker."""

FAST_FAULT_IDS = (
    "socket-key-ignored",
    "socket-closed-early",
    "socket-end-missing",
    "socket-other-context",
    "socket-silent",
    "socket-timestamps-shifted",
    "socket-unknown-message",
)
"""At least one of each kind: the connection, its messages, turns, contexts, audio, and times."""


def choose_cases(fault_id: str) -> Callable[[ConformanceCase], bool]:
    kind = _KIND_BY_FAULT.get(fault_id, "turns")
    return lambda case: case.socket_scenario is not None and case.socket_scenario.kind == kind


@pytest.mark.parametrize(("rule", "example"), list_fault_examples("turns", fast_fault_ids=FAST_FAULT_IDS))
def test_an_injected_fault_is_found_by_its_rule(
    rule: Rule, example: FaultExample, inject_faults, voicegauge_emulator: RunningEmulator, check
) -> None:
    inject_faults(example.fault_id)
    report = check([example.target_id], emulator=voicegauge_emulator, only=choose_cases(example.fault_id))
    assert_found(rule, example, {finding.rule for finding in report.findings if finding.severity is Severity.ERROR})
    found = next(finding for finding in report.findings if finding.rule == rule.id)
    assert found.where.contract_file is not None
    assert found.where.contract_file.endswith("asyncapi.yaml")
    assert found.where.contract_line
    assert found.reproduction_command is not None
    assert "--case" in found.reproduction_command
    assert "emulated-key" not in str(report)


@pytest.mark.parametrize("target", [TARGETS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in TARGETS[1:])])
def test_an_emulator_that_needs_longer_than_the_deadline_makes_no_finding(
    target: str, voicegauge_emulator: RunningEmulator, check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_socket_sender, "EMULATED_TURN_TIMEOUT_S", 0.02)

    async def synthesize_slowly(synthesis: SynthesisRequest) -> SynthesizedSpeech:
        await asyncio.sleep(0.3)  # as an emulator to which other programs leave no processor
        return await synthesize(synthesis)

    monkeypatch.setattr(_socket_connection, "synthesize", synthesize_slowly)
    report = check([target], emulator=voicegauge_emulator, only=choose_cases(""))
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}


@pytest.mark.parametrize(
    "target",
    [name if name in FEW_TARGETS else pytest.param(name, marks=pytest.mark.slow) for name in TARGETS],
)
def test_correct_services_have_no_finding(target: str, voicegauge_emulator: RunningEmulator, check) -> None:
    report = check([target], emulator=voicegauge_emulator)
    assert report.findings == ()
    assert {case.verdict for case in report.case_results} == {"passed"}
    assert {case.target for case in report.case_results} == {target}


@pytest.mark.slow
@pytest.mark.parametrize("fault_id", ["socket-audio-stale", "socket-cancel-ignored"])
def test_a_fault_of_interruptions_is_found_with_every_cancelling_provider(
    fault_id: str, inject_faults, voicegauge_emulator: RunningEmulator, check
) -> None:
    inject_faults(fault_id)
    report = check(["deepgram/aura-2-socket"], emulator=voicegauge_emulator, only=choose_cases(fault_id))
    assert {"socket-speech-differs", "socket-audio-after-cancel"} & {one.rule for one in report.findings}


@pytest.mark.slow
def test_a_hundred_turns_with_other_paces_have_no_finding(
    voicegauge_emulator: RunningEmulator, voicegauge_catalogue: Catalogue
) -> None:
    texts = (
        "Where is the station? It is over there.",
        "Yes.",
        "A long walk in the rain, and then some tea. Good night!",
    )

    async def speak(number: int) -> list[str]:
        generator = random.Random(number)
        target = voicegauge_catalogue.select_targets([TARGETS[number % len(TARGETS)]])[0]
        async with Transport() as transport:
            base_urls = {"": voicegauge_emulator.base_url(target.contract.id)}
            client = Client(target.contract, transport, base_urls=base_urls, key="k")
            session = SocketSession(client, target)
            pace = TextPacing(
                pieces_per_s=generator.choice([None, 50, 400]), burst=generator.randint(1, 4), seed=number
            )
            async with open_session(session):
                count = 1 if target.spec.turn.is_only_one else 3
                for _ in range(count):
                    await session.speak(generator.choice(texts), pace)
            traffic, checker = session.build_traffic(), Checker("emulated")
            connection = SocketConnection(target, traffic)
            spoken = [
                SpokenTurn(target, traffic, turn, target.default_format, session.timeout_s)
                for turn in connection.conversation.turns
            ]
            assert len(spoken) == count
            return [f"{one.rule}: {one.message}" for s in (connection, *spoken) for one in checker.iterate_findings(s)]

    for number in range(100):
        assert asyncio.run(speak(number)) == []


def test_a_close_that_the_client_asked_for_after_an_error_is_not_early(voicegauge_catalogue: Catalogue) -> None:
    (target,) = voicegauge_catalogue.select_targets(["deepgram/aura-2-socket"])
    assert isinstance(target, SocketTarget)
    sent = [target.socket.build_client_message(action, text="Hello.") for action in ("text", "flush")]
    error = target.socket.build_server_message("error", reason="busy")
    asked = target.socket.build_client_message("close")

    def find_rules(*client_messages: str | None, code: int = 1000) -> set[str]:
        messages = [
            *((text, "client") for text in sent),
            (error, "server"),
            *((one, "client") for one in client_messages),
        ]
        traffic = SocketTraffic(
            provider="deepgram",
            operation=target.operation.id,
            request=Request(method="GET", url="https://api.deepgram.com/v1/speak"),
            status=101,
            messages=tuple(
                SocketMessage(sender=sender, at_ms=float(at), data=(text or "").encode())
                for at, (text, sender) in enumerate(messages)
            ),
            close=SocketClose(closed_by="server", at_ms=9.0, code=code),
        )
        findings = Checker("emulated").iterate_findings(SocketConnection(target, traffic))
        return {finding.rule for finding in findings} - {"socket-message-schema"}

    assert find_rules(asked) == find_rules(asked, code=NO_STATUS_CLOSE_CODE) == set()
    assert find_rules() == find_rules(asked, code=ABNORMAL_CLOSE_CODE) == {"socket-closed-early"}


def test_a_case_is_not_sent_if_it_costs_more_than_the_budget(
    voicegauge_emulator: RunningEmulator, voicegauge_catalogue: Catalogue
) -> None:
    from voicegauge.cases.plan import plan_cases
    from voicegauge.conformance._sent_case import SentCase
    from voicegauge.conformance._socket_sender import SpeechSocketSender
    from voicegauge.conformance.check_settings import CheckedService, CheckSettings

    target = voicegauge_catalogue.select_targets(["deepgram/aura-2-socket"])[0]
    plan = plan_cases([target], is_emulated=True, include_all_billable_cases=True)
    case = next(one for one in plan.cases if one.id.endswith(": turns"))

    async def send(budget_usd: float) -> tuple[Ledger, SentCase]:
        async with Transport() as transport:
            base_urls = {"": voicegauge_emulator.base_url("deepgram")}
            ledger, sent = Ledger(budget_usd), SentCase(case)
            client = Client(target.contract, transport, base_urls=base_urls, key="k", ledger=ledger)
            service = CheckedService(target.contract, client, CheckSettings(), ledger)
            await SpeechSocketSender(service, case, target, sent).send()
            return ledger, sent

    with pytest.raises(BudgetError):
        asyncio.run(send(0.0001))
    ledger, sent = asyncio.run(send(1.0))
    assert ledger.spent_usd == pytest.approx(0.03 * case.text_character_count / 1000, rel=0.01)
    assert sent.status == 101


def test_pieces_of_a_text_join_to_the_text() -> None:
    text = "  An extraordinarily long word, and\nsome short ones. "
    for seed in range(20):
        pieces = list(split_into_tokens(text, seed))
        assert "".join(pieces) == text
        assert len(pieces) > 8


def test_interruptions_are_measured(voicegauge_emulator: RunningEmulator, check) -> None:
    targets, only = ("deepgram/aura-2-socket", "cartesia/sonic-3.5-socket"), choose_cases("socket-cancel-ignored")
    found = check(targets, emulator=voicegauge_emulator, only=only).interruptions_by_target
    assert set(found) == set(targets)
    for interruptions in found.values():
        assert len(interruptions) == INTERRUPTION_COUNT
        for one in interruptions:
            assert (one.last_audio_ms is None) == (one.late_audio_s == 0)
            assert one.next_audio_ms is not None
            assert one.next_audio_ms > 0
    # Deepgram documents that Clear stops; Cartesia, that a running generation is finished: two sentences or more.
    stopping, finishing = ([one.late_audio_s for one in found[target]] for target in targets)
    assert max(stopping) < 1 < min(finishing)


@pytest.mark.parametrize("rule", ["socket-text-differs", "socket-audio-after-cancel"])
def test_times_of_interruptions_are_doubted_if_the_next_turn_says_another_text(
    rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "deepgram/aura-2-socket"
    found = Finding(
        rule=rule,
        severity=Severity.ERROR,
        message="wrong",
        where=FindingLocation(provider="deepgram", operation="speakOverWebSocket", target=target),
        case_id=f"{target}: 20 interruptions",
        provenance=Provenance.EMULATED,
    )
    report = CheckReport(
        voicegauge_version="1",
        created_at="2026-11-26T00:00:00Z",
        is_finished=True,
        seed=0,
        targets=(target,),
        interruptions_by_target={target: (Interruption(last_audio_ms=1.0, late_audio_s=0.0, next_audio_ms=2.0),)},
        findings=(found,),
    )
    print_report(report)
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "1 interruption of" in one]
    assert line.endswith("see socket-text-differs") == (rule == "socket-text-differs")


def test_a_server_of_your_own_that_always_says_another_sentence_is_found(tmp_path: Path) -> None:
    own = tmp_path / "my-server" / "asyncapi.yaml"
    own.parent.mkdir()
    own.write_text(read_example("realtime.md", "my-server"))

    def check_live(*faults: str) -> tuple[str, tuple[Finding, ...]]:
        with voicegauge.emulate("my-server", contracts=tmp_path, time_scale=0.05, faults=faults) as emulator:
            url = to_socket_url(emulator.base_url("my-server"))
            live = voicegauge.LiveOptions(base_urls={"": url})
            report = voicegauge.check("my-server", contracts=tmp_path, live=live)
            assert report.unjudged_words_count_by_reason == {}
            return url, report.findings

    url, (found,) = check_live("socket-other-text")
    assert (found.rule, found.severity) == ("socket-text-differs", Severity.ERROR)
    assert f"--base-url {url}" in (found.reproduction_command or "")
    assert check_live()[1] == ()


@pytest.mark.parametrize(
    "target", ["cartesia/sonic-3.5-socket", pytest.param("deepgram/flux-listen", marks=pytest.mark.slow)]
)
def test_a_turn_that_the_check_does_not_wait_for_is_not_judged(
    target: str, inject_faults, voicegauge_emulator: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject_faults("socket-end-missing", "socket-transcript-end-missing")
    provider = target.partition("/")[0]
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", "emulated-key-0123456789")
    live = voicegauge.LiveOptions(base_urls={"": voicegauge_emulator.base_url(provider)}, max_cost_usd=1.0)
    report = voicegauge.check(target, live=live, max_time_s=6)
    assert report.stop_reason == "time"
    assert report.findings == ()
