"""The commands `voicegauge check` and `voicegauge rules`."""

from __future__ import annotations

import json
import re
import signal
import time

import pytest

from voicegauge import check, cli, plan_check
from voicegauge.errors import UsageError
from voicegauge.model.base import Severity

from ..builders.commands import RunningCommand


@pytest.fixture
def voicegauge(capfd):
    def run(*arguments: str):
        status = cli.run(list(arguments))
        out, err = capfd.readouterr()
        return status, out, err

    return run


FEW = ["--max-calls", "1"]


@pytest.mark.parametrize("providers", [pytest.param((), marks=pytest.mark.slow), ("ttsai",)], ids=["all", "one"])
def test_by_default_nothing_is_sent_and_disputes_do_not_fail(voicegauge, providers) -> None:
    status, out, err = voicegauge("check", *providers)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith("DOCUMENTED ")
    assert "disputed" in out
    assert " error " not in out


def test_the_report_is_json_on_standard_output(voicegauge) -> None:
    status, out, _ = voicegauge("check", "pixelapi", "--json", "-")
    report = json.loads(out)
    assert status == 0
    assert report["schema"] == "voicegauge/check/2"
    assert set(report["exchange_count_by_provenance"]) == {
        "documented",
        "emulated",
    }  # the examples, and the bundled recordings
    assert report["is_finished"]


def test_an_injected_fault_is_found_and_fails(voicegauge) -> None:
    status, out, _ = voicegauge("check", "pixelapi/voice-design", "--emulated", "--fault", "ignored-key", *FEW)
    assert status == 1
    assert "auth-not-enforced" in out
    assert "openapi.yaml:" in out
    assert out.splitlines()[-1].startswith("EMULATED ")


def test_a_rule_that_is_ignored_does_not_fail(voicegauge) -> None:
    ignored = ["--ignore", "auth-not-enforced", "--ignore", "wrong-error-status", "--ignore", "charge-wrong"]
    arguments = ["check", "pixelapi/voice-design", "--emulated", "--fault", "ignored-key", *FEW]
    assert voicegauge(*arguments, *ignored)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--emulated", "--live"], "exclude each other"),
        (["check", "--fault", "slow"], "--fault goes with --emulated"),
        (["check", "--base-url", "http://127.0.0.1:1", "pixelapi"], "--base-url goes with --live"),
        (["check", "--price", "a/b=1"], "--price goes with --live"),
        (["check", "--plan", "free"], "--plan goes with --live"),
        (["check", "--full"], "--full goes with --live"),
        (["check", "--fuzz", "5"], "--fuzz goes with --emulated or --live"),
        (["check", "--max-calls", "5"], "--max-calls goes with --emulated or --live"),
        (["check", "--dry-run"], "--dry-run goes with --emulated or --live"),
        (["check", "--emulated", "--max-calls", "-1"], "--max-calls"),
        (["check", "pixelapi/voice-desing"], "did you mean pixelapi/voice-design?"),
        (["check", "ttsai/chat"], "ttsai/chat is an operation, not a target: name ttsai, which stands for"),
        (["check", "ttsai/cloneVoice"], "name a target of it (ttsai/clone-chatterbox, ttsai/clone-cosyvoice2"),
        (["check", "--select", "job-stuk"], "did you mean job-stuck?"),
        (["check", "pixelapi", "--emulated", "--dry-run", "--select", "job-stuk"], "did you mean job-stuck?"),
        (["check", "pixelapi", "--emulated", "--dry-run", "--fault", "nope"], "unknown fault 'nope'"),
        (["check", "--emulated", "pixelapi", "--fault", "sloww"], "did you mean slow?"),
        (["check", "--contracts", "/nonexistent"], "/nonexistent"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_2(voicegauge, arguments, message) -> None:
    status, out, err = voicegauge(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("severity", ["fatal", "disputed"])
def test_a_severity_that_cannot_be_set_is_rejected_before_anything_is_sent(severity) -> None:
    message = rf"'audio-silent={severity}': write RULE=error, RULE=warning or RULE=info"
    for function in (check, plan_check):
        with pytest.raises(UsageError, match=message):
            function("pixelapi/voice-design", emulated=True, severities={"audio-silent": severity}, max_calls=1)


def test_a_severity_may_be_given_by_its_name() -> None:
    report = check(
        "pixelapi/voice-design",
        emulated=True,
        faults=["ignored-key"],
        severities={"auth-not-enforced": "info"},
        select=["auth-not-enforced"],
        max_calls=1,
    )
    assert [finding.severity is Severity.INFO for finding in report.findings] == [True]
    assert report.count_findings(Severity.ERROR) == 0


@pytest.mark.slow
def test_other_statuses_of_a_service_that_ignores_the_key_are_one_finding() -> None:
    names = ("elevenlabs/multilingual-v2", "elevenlabs/getVoiceSettings", "elevenlabs/deleteDub")
    cases = [f"{name}: a request without a key" for name in names]
    report = check("elevenlabs", emulated=True, faults=["ignored-key"], case_ids=cases)
    assert sorted(finding.rule for finding in report.findings) == ["auth-not-enforced", "wrong-error-status"]
    wrong = next(finding for finding in report.findings if finding.rule == "wrong-error-status")
    places = (wrong.where, *wrong.other_places)
    assert {place.operation for place in places} == {"getVoiceSettings", "deleteDub"}


def test_a_plan_for_the_emulator_has_the_prices_of_the_service(voicegauge) -> None:
    status, out, err = voicegauge("check", "pixelapi", "--emulated", "--max-calls", "5", "--dry-run", "--json", "-")
    plan = json.loads(out)
    assert (status, err) == (0, "")
    assert (plan["provenance"], plan["spending"]["total"]["billable_request_count"]) == ("emulated", 5)
    assert plan["spending"]["total"]["spent_usd"] > 0


def test_a_plan_numbers_its_cases_in_the_order_of_sending_and_says_why_it_is_so(
    voicegauge, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no row is wrapped
    command = ["check", "pixelapi/voice-design", "ttsai/kokoro", "--emulated", "--max-calls", "2"]
    status, out, _ = voicegauge(*command, "--dry-run", "--json", str(tmp_path / "plan.json"))
    rows = [re.fullmatch(r" *(\d+)  +(.+?)  +(accepted|rejected|either) .*", line) for line in out.splitlines()]
    numbered = [row[2] for row in rows if row is not None]
    first, second = (numbered.index(next(one for one in numbered if one.startswith(name))) for name in ("pix", "tts"))
    assert (status, first, second > 1) == (0, 0, True)
    assert f"1, {second + 1}: one delivery of each target" in out
    assert f"2 to {second}, {second + 2} to " in out
    planned = {case["id"]: case for case in json.loads((tmp_path / "plan.json").read_text())["cases"]}
    turns = [planned[numbered[index]]["turn"] for index in (0, 1, second, second + 1)]
    assert turns == ["first-delivery", "rejection"] * 2
    assert planned[numbered[1]]["contract_pointer"].startswith("/paths/")
    assert voicegauge(*command, "--json", str(tmp_path / "check.json"))[0] == 0
    sent = [case["id"] for case in json.loads((tmp_path / "check.json").read_text())["case_results"]]
    assert sent == numbered


def test_repeated_requests_are_said_although_they_are_documented(voicegauge, tmp_path) -> None:
    command = ["check", "openai/tts-1", "--emulated", *FEW, "--json", str(tmp_path / "found.json")]
    outputs = ["--markdown", str(tmp_path / "summary.md"), "--html", str(tmp_path / "page.html")]
    status, out, _ = voicegauge(*command, *outputs, "--fault", "flaky-503")
    count = json.loads((tmp_path / "found.json").read_text())["repetition_count_by_status"]["503"]
    said = f"requests were repeated {count} time{'' if count == 1 else 's'} after 503"
    assert (status, count > 0, said in out) == (0, True, True)
    assert said in (tmp_path / "summary.md").read_text()
    assert said in (tmp_path / "page.html").read_text()
    status, out, _ = voicegauge(*command)
    assert (status, "were repeated" in out) == (0, False)
    assert json.loads((tmp_path / "found.json").read_text())["repetition_count_by_status"] == {}


def test_rules_are_listed(voicegauge) -> None:
    status, out, _ = voicegauge("rules", "--json", "-")
    assert status == 0
    rows = json.loads(out)
    assert rows["schema"] == "voicegauge/rules/2"
    assert {"id", "severity", "description", "contract_condition", "subject"} == set(rows["check_rules"][0])
    assert "job-terminal-changed" in voicegauge("rules")[1]


@pytest.mark.parametrize("stop", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_ctrl_c_or_sigterm_reports_the_findings_so_far(tmp_path, acme, acme_contracts, stop, monkeypatch) -> None:
    out, printed = tmp_path / "out.json", tmp_path / "printed.txt"
    acme.accepts_anything = True
    command = ["check", "acme", "--contracts", str(acme_contracts())]
    command += ["--live", "--base-url", acme.url, "--max-cost", "1000", "--json", str(out)]
    command += ["--fuzz", "100000", "--failures", "none"]
    monkeypatch.setenv("ACME_API_KEY", "sk-acme-0123456789abcdef")
    with RunningCommand(command, output=printed) as process:
        while len(acme.keys) < 30 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(stop)
        assert process.wait() == 130
    report = json.loads(out.read_text())
    assert (report["is_finished"], report["stop_message"]) == (False, "interrupted")
    assert "accepts-invalid" in {finding["rule"] for finding in report["findings"]}
    assert "Traceback" not in printed.read_text()
