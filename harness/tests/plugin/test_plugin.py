"""The plugin as a user's own test run sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity
from voicegauge.plugin._service_checks import fail_on_findings
from voicegauge.rules.registry import RULE_BY_ID

pytest_plugins = ["pytester"]


WEBHOOK = """
    import asyncio
    import urllib.request

    def test_my_webhooks(voicegauge_webhooks):
        body = b'{"id": "job-1"}'
        urllib.request.urlopen(urllib.request.Request(voicegauge_webhooks.create_url(), body), timeout=60).close()
        came = asyncio.run(voicegauge_webhooks.wait_for_next_callback("job-1"))
        assert came.request.body == body
"""


def test_a_test_of_ones_own_receives_webhooks(run_pytest) -> None:
    run_pytest(WEBHOOK).assert_outcomes(passed=1)


FIVE_LINES = """
    def test_contract(voicegauge_target, voicegauge_check):
        report = voicegauge_check(voicegauge_target)
        assert report.exchange_count_by_provenance["emulated"] > 10
"""


@pytest.mark.slow
def test_five_lines_check_every_chosen_target(run_pytest) -> None:
    result = run_pytest(FIVE_LINES, "--vg-target", "pixelapi", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_contract?pixelapi/voice-design? PASSED*"])


@pytest.mark.slow
def test_a_broken_contract_fails_with_rule_place_and_command(run_pytest) -> None:
    result = run_pytest(
        """
        import pytest
        from voicegauge.emulator.process import running_emulator
        from voicegauge.emulator.process import EmulatorSettings

        @pytest.fixture(scope="session")
        def voicegauge_emulator(voicegauge_catalogue):
            settings = EmulatorSettings(
                clock="per-poll", enforces_rate_limits=False, credits=1e9, faults=("ignored-key",)
            )
            with running_emulator(voicegauge_catalogue, settings) as running:
                yield running

        def test_contract(voicegauge_check):
            voicegauge_check("pixelapi/voice-design")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*auth-not-enforced*openapi.yaml:*", "*curl *"])


BY_RULE = """
    import pytest

    @pytest.mark.voicegauge("pixelapi/voice-design")
    def test_contract(voicegauge_rule):
        voicegauge_rule.assert_holds()
"""


@pytest.mark.slow
def test_a_faulty_emulator_fails_the_rules_it_breaks_with_a_command_on_any_worker(run_pytest) -> None:
    result = run_pytest(BY_RULE, "--vg-fault", "ignored-key", "-n", "2")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] + outcomes["passed"] + outcomes["skipped"] == len(RULE_BY_ID)
    assert 1 <= outcomes["failed"] <= 4
    result.stdout.fnmatch_lines(["*auth-not-enforced: *openapi.yaml:*", "*curl *"])
    result.stdout.fnmatch_lines(["*also charge-wrong: charged 0 credits; documented: 50"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--vg-fault", "ignored-key", "--vg-live"), "which --vg-live does not use"),
        (("--vg-fault", "ignored-kye"), "did you mean ignored-key?"),
        (("--vg-target", "pixelapy"), "ERROR: --vg-target: unknown target 'pixelapy': did you mean pixelapi?"),
        (("--vg-price", "acme/voice-1=0.02"), "--vg-price goes with --vg-live"),
        (("--vg-price", "acme/voice-1", "--vg-live"), "write NAME=USD"),
        (("--vg-max-calls", "-1"), "--vg-max-calls -1"),
        (("--vg-max-cost", "nan"), "--vg-max-cost nan"),
        (("--vg-max-wait", "0"), "--vg-max-wait 0.0: must be a number above 0"),
    ],
)
def test_contradictory_options_are_rejected(run_pytest, options, said) -> None:
    result = run_pytest(BY_RULE, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


SENT_AGAIN = """
    import asyncio

    def test_right(voicegauge_send):
        voicegauge_send("pixelapi/voice-design", {"text": "Hello there."})
        voicegauge_send("pixelapi/voice-design", {"text": "a" * 501}, expected_outcome="rejected")
        voicegauge_send("pixelapi/voice-design", omitted_fields=["text"], expected_outcome="rejected")

    def test_wrong(voicegauge_send):
        voicegauge_send("pixelapi/voice-design", {"text": "a" * 501})

    def test_jobs(voicegauge_jobs):
        voicegauge_jobs("pixazo/chatterbox", ["submit", "submit", "poll 2", "poll 1", "unknown 1"])

    def test_no_such_job(voicegauge_jobs):
        voicegauge_jobs("pixazo/chatterbox", ["poll 1"])

    def test_in_a_coroutine(voicegauge_send):
        async def send():
            voicegauge_send("pixelapi/voice-design")
        asyncio.run(send())
"""


def test_requests_and_job_steps_found_by_fuzzing_can_be_repeated(run_pytest) -> None:
    result = run_pytest(SENT_AGAIN)
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["rejects-valid: *openapi.yaml:*", "*curl *"])
    result.stdout.fnmatch_lines(["*'poll 1' is not a valid step with 0 jobs: write submit, poll N*"])


def test_repeated_requests_find_the_faults_of_an_emulator(run_pytest) -> None:
    result = run_pytest(SENT_AGAIN, "--vg-fault", "crosstalk", "--vg-fault", "accepts-invalid")
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(["accepts-invalid: *openapi.yaml:*", "*curl *", "job-id-changed: *"])


def test_a_client_of_the_emulator_is_at_hand(run_pytest) -> None:
    result = run_pytest(
        """
        import asyncio
        from voicegauge.model.base import SpeechRequest

        def test_speaks(voicegauge_client, voicegauge_catalogue):
            async def speak():
                async with voicegauge_client("pixelapi") as client:
                    target = voicegauge_catalogue.find_provider("pixelapi").find_target_by_name("voice-design")
                    return await client.speak(target, SpeechRequest(text="Hello there."))
            delivery = asyncio.run(speak())
            assert delivery.audio
        """
    )
    result.assert_outcomes(passed=1)


INTERRUPTED = """
    import asyncio
    import signal

    def test_first(voicegauge_check, monkeypatch):
        async def check(*_):
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(60)
        monkeypatch.setattr("voicegauge.api.checking.check_service", check)
        voicegauge_check("pixelapi/voice-design")

    def test_second():
        pass
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_not_one_test(run_pytest) -> None:
    result = run_pytest(INTERRUPTED, isolated=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes()


BROKEN_OFF = """
    import pytest
    from voicegauge.errors import UnreachableError
    from voicegauge.model.base import Provenance

    checks = []

    @pytest.fixture(autouse=True)
    def away(monkeypatch):
        async def check(targets, plan, settings, collector, *others):
            checks.append(plan)
            collector.count_exchange(Provenance.EMULATED, "pixelapi", "submitSpeech")
            raise UnreachableError("api: the connection broke")
        monkeypatch.setattr("voicegauge.api.checking.check_service", check)

    @pytest.mark.voicegauge("pixelapi/voice-design")
    def test_contract(voicegauge_rule):
        voicegauge_rule.assert_holds()

    def test_the_check_was_made_once():
        assert len(checks) == 1
"""


def test_an_aborted_check_is_not_repeated_for_each_rule(run_pytest) -> None:
    result = run_pytest(BROKEN_OFF, "-k", "job-stuck or job-transition or the_check_was_made_once")
    result.assert_outcomes(failed=2, passed=1, deselected=len(RULE_BY_ID) - 2)
    result.stdout.fnmatch_lines(["api: the connection broke"])


def test_an_unknown_target_is_one_line_with_its_place_and_the_nearest(run_pytest) -> None:
    result = run_pytest(BY_RULE.replace("voice-design", "voice-desing"))
    result.assert_outcomes(errors=1)
    said = result.stdout.str() + result.stderr.str()
    assert "test_contract: @pytest.mark.voicegauge: unknown target" in said
    assert "did you mean pixelapi/voice-design?" in said
    assert not re.search(r"\.py:\d", said), "no frame is shown"
    assert "Traceback" not in said


def test_a_finding_that_cannot_be_reproduced_is_reported_without_a_command() -> None:
    finding = Finding(
        rule="callback-schema",
        severity=Severity.ERROR,
        message="no id",
        where=FindingLocation(provider="acme", contract_file="openapi.yaml", contract_line=7),
        provenance=Provenance.EMULATED,
    )
    with pytest.raises(pytest.fail.Exception) as failed:
        fail_on_findings(ResultCollector([], 0).build_report(), [finding])
    assert str(failed.value) == "callback-schema: no id (openapi.yaml:7)"


def test_errors_of_a_guessed_contract_are_followed_by_its_open_marks() -> None:
    where = FindingLocation(provider="acme", contract_file="openapi.yaml", contract_line=7)
    finding = Finding(
        rule="error-shape", severity=Severity.ERROR, message="404", where=where, provenance=Provenance.LIVE
    )
    report = msgspec.structs.replace(ResultCollector([], 0).build_report(), todo_notice="2 open marks in openapi.yaml")
    with pytest.raises(pytest.fail.Exception) as failed:
        fail_on_findings(report, [finding])
    assert str(failed.value).endswith("\n2 open marks in openapi.yaml")


def test_a_doubtful_check_fails_with_its_cause_instead_of_its_consequences() -> None:
    where = FindingLocation(provider="acme", contract_file="openapi.yaml", contract_line=7)
    findings = [
        Finding(rule=rule, severity=Severity.ERROR, message="404", where=where, provenance=Provenance.LIVE)
        for rule in ("rejects-valid", "error-shape", "error-shape")
    ]
    notice = "30 of 30 responses have status 404: check the base URL first"
    report = msgspec.structs.replace(ResultCollector([], 0).build_report(), doubt_reason=notice)
    with pytest.raises(pytest.fail.Exception) as failed:
        fail_on_findings(report, findings)
    assert str(failed.value) == f"{notice}\nerrors that may all be consequences: rejects-valid, error-shape"


def test_after_an_emulated_failure_a_line_starts_the_emulator_with_the_same_fault(run_pytest) -> None:
    result = run_pytest(
        """
        def test_contract(voicegauge_send):
            voicegauge_send("pixelapi/voice-design", {"text": ""}, expected_outcome="rejected")
        """,
        "--vg-fault",
        "accepts-invalid",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*curl * http://127.0.0.1:8080/pixelapi/*",
            "*voicegauge serve pixelapi --port 8080 *--fault accepts-invalid",
        ]
    )


def test_a_live_run_without_a_key_names_the_variable(run_pytest, monkeypatch) -> None:
    monkeypatch.delenv("PIXELAPI_KEY", raising=False)
    result = run_pytest(
        """
        def test_contract(voicegauge_check):
            voicegauge_check("pixelapi")
        """,
        "--vg-live",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*PIXELAPI_KEY*"])


TWO_SERVICES = """
    import pytest

    @pytest.mark.voicegauge("pixelapi/voice-design")
    def test_target(voicegauge_target, voicegauge_check):
        voicegauge_check(voicegauge_target)

    @pytest.mark.voicegauge("lmnt/blizzard")
    def test_rule(voicegauge_rule):
        voicegauge_rule.assert_holds()

    def test_nothing():
        pass
"""


def test_a_live_run_without_any_key_of_its_services_runs_no_test(run_pytest, monkeypatch) -> None:
    for variable in ("PIXELAPI_KEY", "LMNT_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    result = run_pytest(TWO_SERVICES, "--vg-live")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.assert_outcomes()
    result.stderr.fnmatch_lines(
        ["ERROR: --vg-live: no key of a chosen service is set: set LMNT_API_KEY for lmnt, PIXELAPI_KEY for pixelapi"]
    )
    run_pytest(TWO_SERVICES, "--vg-live", "-k", "nothing").assert_outcomes(passed=1, deselected=len(RULE_BY_ID) + 1)


def test_a_live_run_with_one_key_runs_the_tests_of_its_service(run_pytest, monkeypatch) -> None:
    monkeypatch.delenv("PIXELAPI_KEY", raising=False)
    monkeypatch.setenv("LMNT_API_KEY", "sk-lmnt")
    code = TWO_SERVICES.replace("voicegauge_rule.assert_holds()", "pass").replace(
        "voicegauge_rule", "voicegauge_target"
    )
    result = run_pytest(code, "--vg-live")
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["pixelapi needs a key: set the environment variable PIXELAPI_KEY"])


def test_other_runs_are_left_alone(run_pytest) -> None:
    result = run_pytest("def test_nothing(): pass\n", "-v")
    result.assert_outcomes(passed=1)
    assert "emulator" not in result.stdout.str()


def test_loading_the_plugin_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, voicegauge.plugin; print(*(m for m in sys.modules if m.partition('.')[0] in sys.argv[1:]))"
    heavy = ["httpx", "numpy", "hypothesis", "starlette", "msgspec", "yaml", "jsonschema_rs", "soundfile"]
    found = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout.strip() == ""


def test_the_five_lines_of_the_readme_are_a_test_for_each_rule(run_pytest) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    blocks = [part.split("```", 1)[0] for part in readme.split("```python\n")[1:]]
    code = next(block for block in blocks if block.startswith("import pytest"))
    result = run_pytest(code, "-v", "-rs", "--vg-max-calls", "2")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == len(RULE_BY_ID)
    assert outcomes["passed"] > 25
    result.stdout.fnmatch_lines(["*test_contract?pixelapi-auth-not-enforced? PASSED*"])
    skipped = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert any("the contract states nothing that it needs: x-stream.events" in line for line in skipped)
    assert all(re.match(r"SKIPPED \[1\] test_\w+\.py:\d+: [a-z0-9-]+: ", line) for line in skipped), skipped[:3]
