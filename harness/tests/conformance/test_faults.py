"""Every injected fault is found by the rule for it, and by no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicegauge.checks import RULE_BY_ID
from voicegauge.conformance import ConformanceCase
from voicegauge.conformance.emulator_setup import EMULATOR_API_KEY
from voicegauge.emulator import FAULTS
from voicegauge.errors import UnreachableError
from voicegauge.model import Severity

TARGETS = ("pixazo/chatterbox", "pixelapi/voice-design", "ttsai/kokoro", "ttsai/kokoro-sync")

# fault -> the rule that must find it, and rules that may find it as well
FOUND_BY: dict[str, tuple[str, set[str]]] = {
    "wrong-type": ("response-schema", {"rejects-valid", "job-state-unknown", "job-stuck", "job-timestamps"}),
    "missing-field": ("response-schema", {"audio-missing", "job-completed-without-output"}),
    "renamed-field": ("response-schema", {"audio-missing", "job-completed-without-output"}),
    "null-field": ("response-schema", {"job-state-unknown", "job-id-changed", "audio-missing"}),
    "wrong-error-shape": ("error-shape", set()),
    "empty-body": ("empty-body", {"audio-missing"}),
    "wrong-content-type": ("content-type", {"audio-media-type"}),
    "unknown-status": ("job-state-unknown", {"response-schema"}),
    "backwards-transition": ("job-transition-illegal", set()),
    "terminal-flip": ("job-terminal-changed", set()),
    "failure-undone": ("job-terminal-changed", set()),
    "stuck-job": ("job-stuck", set()),
    "completed-without-output": ("job-completed-without-output", {"response-schema", "audio-missing"}),
    "failed-without-reason": ("job-failed-without-reason", {"response-schema"}),
    "bad-timestamps": ("job-timestamps", set()),
    "created-changed": ("job-created-changed", set()),
    "id-changed": ("job-id-changed", set()),
    "wrong-model": ("job-model-wrong", {"response-schema"}),
    "wrong-polling-url": ("job-polling-url", set()),
    "wrong-charge": ("charge-wrong", set()),
    "silent-audio": ("audio-silent", set()),
    "wrong-format": ("audio-media-type", {"audio-format"}),
    "text-ignored": ("audio-length", set()),
    "speed-ignored": ("speed-ignored", set()),
    "voice-ignored": ("voice-ignored", set()),
    "language-ignored": ("language-ignored", set()),
    "seed-ignored": ("seed-ignored", set()),
    "seed-not-kept": ("seed-not-reproducible", set()),
    "format-changes-text": ("format-changes-speech", set()),
    "format-changes-words": ("format-changes-speech", set()),
    "unauthorized-cut-off": ("response-incomplete", set()),
    "default-format-changed": ("audio-format", {"audio-media-type"}),
    "long-text-cut": ("long-text-cut", set()),
    "truncated-audio": ("audio-truncated", {"audio-length", "audio-undecodable"}),
    "html-as-audio": ("audio-not-audio", set()),
    "server-error-at-boundary": ("server-error", set()),
    "flaky-503": ("status-undocumented", set()),
    "ignored-key": ("auth-not-enforced", {"wrong-error-status", "charge-wrong"}),
    "accepts-invalid": ("accepts-invalid", {"server-error", "audio-silent", "wrong-error-status"}),
    "missing-retry-after": ("retry-after-missing", set()),
    "missing-header": ("header-missing", {"retry-after-missing"}),
    "undocumented-status": ("status-undocumented", set()),
    "ignores-filters": ("filter-ignored", set()),
}
# Faults of fields that the usual targets do not have.
TARGETS_OF = {
    **dict.fromkeys(("voice-ignored", "seed-ignored", "seed-not-kept"), ("pixazo/vibevoice",)),
    "unauthorized-cut-off": ("pixelapi/voice-design",),
}
# They do not show in the emulator in this process, which loses no connection.
OVER_SOCKETS = {"unauthorized-cut-off"}
# A slow service contradicts no document; one that drops connections has no responses to judge.
NO_FINDING = {"slow", "drops-connection"}
# They do not show with one job that is polled at once: `test_stateful_jobs.py` finds these.
AMONG_JOBS = {"crosstalk", "ignores-cancelling", "never-expires"}
# They do not show in a single call, or need a batch: `test_lifecycles.py` finds these.
AMONG_CALLS = {"uses-deleted", "lists-deleted", "ignores-state", "shares-accounts", "accepts-too-many"}

# They need a target that streams: `test_streams.py` finds these.
# They need a contract with other shapes: `test_other_shapes.py` finds these.
OF_SHAPES = {"other-sample-rate", "other-bit-rate", "markup-spoken"}
OF_SHAPES |= {name for name in FAULTS if name.startswith("timestamps-")}
IN_STREAMS = {name for name in FAULTS if name.startswith("stream-")}
# They need a request with a webhook URL: `test_webhooks.py` finds these.
IN_WEBHOOKS = {name for name in FAULTS if name.startswith("webhook-")}
# They need a request with audio: `test_audio_input.py` finds these.
# It needs an operation whose requests select a stream: `test_response_kind.py` finds this.
OF_CHOICES = {"response-kind-ignored"}
# It needs a price that depends on reported usage: `test_usage_prices.py` finds this.
OF_USAGE = {"excess-usage"}
OF_UPLOADS = {"upload-limit-ignored", "upload-format-ignored", "other-transcript", "other-rate"}


def _cases_for(rule: str) -> Callable[[ConformanceCase], bool]:
    """The cases that can show a fault, so that the test is faster but not weaker."""
    if rule == "job-stuck":  # each is polled until its timeout
        return lambda case: case.id.endswith(": a full delivery")
    if rule == "response-incomplete":  # three lost connections in a row end a check
        return lambda case: case.expected_response.case_kind == "authentication" and case.target_name is not None
    if rule == "filter-ignored":
        return lambda case: case.request is not None and bool(case.request.query_parameters)
    why = {
        "auth-not-enforced": "authentication",
        **dict.fromkeys(("error-shape", "retry-after-missing"), "rejection-reason"),
        "accepts-invalid": "invalid",
        **dict.fromkeys(("server-error", "status-undocumented"), "valid"),
    }
    if rule in why:
        return lambda case: case.expected_response.case_kind == why[rule]
    return lambda case: case.speech_request is not None


def test_the_table_has_every_fault_and_only_existing_rules() -> None:
    elsewhere = AMONG_JOBS | AMONG_CALLS | IN_STREAMS | IN_WEBHOOKS | OF_SHAPES | OF_CHOICES | OF_UPLOADS | OF_USAGE
    assert FOUND_BY.keys() | NO_FINDING | elsewhere == FAULTS.keys()
    assert len(FOUND_BY) >= 20
    assert {rule for rule, _ in FOUND_BY.values()} | set().union(*(more for _, more in FOUND_BY.values())) <= set(
        RULE_BY_ID
    )


@pytest.mark.parametrize("fault", FOUND_BY)
def test_an_injected_fault_is_found_by_its_rule(fault, check, check_over_sockets) -> None:
    rule, also = FOUND_BY[fault]
    # A synchronous call would speak the 100,001 characters that should have been rejected.
    targets = TARGETS[:3] if fault == "accepts-invalid" else TARGETS_OF.get(fault, TARGETS)
    everything = ("pixazo", "pixelapi", "ttsai") if fault == "ignores-filters" else None  # lists of voices
    run = check_over_sockets if fault in OVER_SOCKETS else check
    report = run(targets, faults=[fault], only=_cases_for(rule), fully_checked_providers=everything)
    errors = {finding.rule for finding in report.findings if finding.severity is Severity.ERROR}
    assert rule in errors
    assert errors <= {rule, *also}
    assert any(case.verdict == "failed" for case in report.case_results)
    found = next(finding for finding in report.findings if finding.rule == rule)
    assert found.where.contract_file
    assert found.where.contract_line
    assert found.reproduction_command
    assert EMULATOR_API_KEY not in str(report)


def test_a_slow_service_has_no_findings(check_over_sockets) -> None:
    report = check_over_sockets(
        ["pixazo/chatterbox"],
        faults=["slow@pixazo/chatterbox"],
        only=lambda case: case.expected_response.case_kind == "authentication",
    )
    assert not report.findings


def test_a_dropped_connection_is_an_error_and_not_a_finding(check_over_sockets) -> None:
    with pytest.raises(UnreachableError, match="connection lost"):
        check_over_sockets(["pixelapi/voice-design"], faults=["drops-connection"])
