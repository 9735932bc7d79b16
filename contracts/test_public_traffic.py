"""Responses of the real services, in the shape that documents and public recordings show, cause no error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.conformance._sent_case import read_response_delivery
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.model.base import Finding, Provenance, Severity
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.redaction import RedactionSettings, Redactor
from voicegauge.rules.call import Call, CaseOutcome, CheckSubject
from voicegauge.rules.checker import Checker
from voicegauge.rules.subjects import JobHistory

CATALOGUE = load_catalogue()


def list_cases(contract: Contract) -> list[ConformanceCase]:
    targets = [*contract.targets.values(), *contract.audio_input_targets.values()]
    return list(
        plan_cases(
            targets, is_emulated=False, include_all_billable_cases=True, fully_checked_providers=[contract.id]
        ).cases
    )


def build_call(
    contract: Contract, operation_id: str, status: int, body: Any, media_type: str = "application/json"
) -> Call:
    operation = contract.find_operation(operation_id)
    url = operation.server.url + re.sub(r"{\w+}", "a", operation.path)
    request = Request(method=operation.method, url=url)
    named = contract.limits.rate_limit_header_names
    limits = {"limit": "60", "remaining": "0", "reset": "2000000000", "retry_after": "1"}
    headers = (("Content-Type", media_type), *((name, limits[kind]) for kind, name in named.items()))
    response = Response(status=status, headers=headers, body=json.dumps(body).encode())
    return Call(operation, Exchange(provider=contract.id, operation=operation_id, request=request, response=response))


def judge(*subjects: CheckSubject) -> list[Finding]:
    found = Checker(Provenance.LIVE).iterate_findings_by_subject(subjects)
    return [finding for _, findings in found for finding in findings]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"title": "Unauthenticated", "detail": "You did not pass an authentication token", "status": 401}),
        (402, {"title": "Insufficient credit", "detail": "There is no credit left", "status": 402}),
        (404, {"detail": "The resource could not be found.", "status": 404}),
        (422, {"title": "Input validation failed", "detail": "- input: text is required", "status": 422}),
    ],
)
def test_refusals_of_replicate_are_problem_documents(status: int, body: dict[str, Any]) -> None:
    contract = CATALOGUE.find_provider("replicate")
    for operation in contract.operations.values():
        found = judge(build_call(contract, operation.id, status, body, "application/problem+json"))
        assert {finding.severity for finding in found} <= {Severity.WARNING}
        if str(status) in operation.responses:
            assert found == []


def test_pixazo_may_ignore_a_mode_without_a_webhook() -> None:
    cases = [case for case in list_cases(CATALOGUE.find_provider("pixazo")) if "X-Webhook-Mode" in case.id]
    assert cases
    assert {case.expected_response.acceptance for case in cases} == {"accepted"}


@pytest.mark.parametrize("provider", ["pixelapi", "pixazo", "ttsai", "replicate"])
def test_a_slow_job_is_no_error_if_no_document_limits_its_time(provider: str) -> None:
    contract = CATALOGUE.find_provider(provider)
    operation = next(one for one in contract.operations.values() if one.job is not None and one.submit is None)
    submit = next(target.operation for target in contract.targets.values() if target.job_operation is operation)
    call = build_call(contract, submit.id, 200, {})
    found = judge(JobHistory(call, (), operation, is_timed_out=True))
    assert [(finding.rule, finding.severity) for finding in found] == [("job-stuck", Severity.WARNING)]
    assert "no document states a limit" in found[0].message


def test_an_unknown_model_of_ttsai_may_be_not_found() -> None:
    contract = CATALOGUE.find_provider("ttsai")
    case = next(case for case in list_cases(contract) if case.id == "ttsai/submitSpeech: model 12, not string")
    call = build_call(contract, "submitSpeech", 404, {"error": {"code": "not_found", "message": "no such model"}})
    found = judge(CaseOutcome(call, case.expected_response))
    assert "wrong-error-status" not in {finding.rule for finding in found}


def test_a_saved_voice_of_ttsai_may_be_ignored_on_the_host_that_has_none() -> None:
    contract = CATALOGUE.find_provider("ttsai")
    case = next(case for case in list_cases(contract) if "submitSpeech: user_voice_id 12" in case.id)
    found = judge(CaseOutcome(build_call(contract, "submitSpeech", 200, {}), case.expected_response))
    assert {finding.severity for finding in found} == {Severity.DISPUTED}


def test_a_job_of_pixelapi_may_begin_as_pending() -> None:
    contract = CATALOGUE.find_provider("pixelapi")
    status = contract.find_operation("getSpeechStatus")
    assert status.has_disputed_job_states
    found = judge(build_call(contract, status.id, 200, {"id": "a", "status": "pending"}))
    assert {finding.severity for finding in found} == {Severity.DISPUTED}


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_samples_of_deepgram_need_no_container(rate: int) -> None:
    contract = CATALOGUE.find_provider("deepgram")
    target, text = contract.targets["aura-2"], "Good morning. This is a short test."
    samples = np.random.default_rng(0).normal(0, 3000, int(rate * len(text) / 15)).astype("<i2").tobytes()
    query = f"model=aura-2-thalia-en&encoding=linear16&container=none&sample_rate={rate}"
    request = Request(
        method="POST",
        url=f"https://api.deepgram.com/v1/speak?{query}",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps({"text": text}).encode(),
    )
    answer = Response(status=200, headers=(("Content-Type", f"audio/l16;rate={rate};channels=1"),), body=samples)
    exchange = Exchange(provider=contract.id, operation="speak", request=request, response=answer)
    call = Call(target.operation, exchange, target)
    delivered = read_response_delivery(call, has_documented_text=True)
    assert delivered is not None
    assert {finding.rule for finding in judge(call, delivered)} <= {"audio-not-speech"}  # it is noise


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_each_wav_of_elevenlabs_has_a_meaning(rate: int) -> None:
    for target in CATALOGUE.find_provider("elevenlabs").targets.values():
        found = target.find_audio_format(f"wav_{rate}")
        assert found is not None
        assert (found.codec, found.sample_rate_hz) == ("wav", rate)


def test_a_file_itself_may_be_sent_to_deepgram_for_a_transcript() -> None:
    contract = CATALOGUE.find_provider("deepgram")
    operation = contract.find_operation("transcribe")
    request = Request(
        method="POST",
        url="https://api.deepgram.com/v1/listen?model=nova-3",
        headers=(("Content-Type", "audio/wav"),),
        body=b"RIFF",
    )
    refusal = {"err_code": "Bad Request", "err_msg": "corrupt or unsupported data", "request_id": "a"}
    answer = Response(status=400, headers=(("Content-Type", "application/json"),), body=json.dumps(refusal).encode())
    exchange = Exchange(provider=contract.id, operation=operation.id, request=request, response=answer)
    assert {finding.severity for finding in judge(Call(operation, exchange))} <= {Severity.DISPUTED, Severity.WARNING}


def test_a_documented_model_is_kept_although_an_undocumented_header_repeats_it() -> None:
    contract = CATALOGUE.find_provider("deepgram")
    url = "https://api.deepgram.com/v1/speak?model=aura-2-thalia-en"
    request = Request(method="POST", url=url, headers=(("Authorization", "Token k-0123456789abcdef"),), body=b"{}")
    headers = (("Content-Type", "audio/mpeg"), ("dg-model-name", "aura-2-thalia-en"))
    response = Response(status=200, headers=headers, body=b"ID3")
    exchange = Exchange(provider=contract.id, operation="speak", request=request, response=response)
    redactor = Redactor(contract, RedactionSettings(secrets=["k-0123456789abcdef"]))
    assert redactor.mask_exchange(exchange).request.url == url


def list_refusals(contract: Contract, operation_id: str) -> Iterator[tuple[int, Any, str]]:
    """Yield status, body and media type of refusals: those with a documented example, and those of public reports.

    Public reports show the body of a documented error with a status that no document lists, and pages of a gateway.
    """
    operation = contract.find_operation(operation_id)
    errors = [
        (int(status), example.value, media_type)
        for status, response in operation.responses.items()
        if status.isdigit() and int(status) >= 400
        for media_type, media in response.media_types.items()
        for example in media.examples
    ]
    yield from errors
    if errors:
        _, body, media_type = errors[0]
        for status in (401, 402, 403, 404, 405, 409, 413, 429, 500, 503):
            if str(status) not in operation.responses:
                yield status, body, media_type
    for status in (502, 503, 504, 520):
        yield status, "<html><body>Bad gateway</body></html>", "text/html"


@pytest.mark.parametrize("provider", CATALOGUE.provider_ids)
def test_no_refusal_that_a_service_documents_or_was_seen_to_send_is_an_error(provider: str) -> None:
    contract = CATALOGUE.find_provider(provider)
    judged = 0
    for operation in contract.operations.values():
        for status, body, media_type in list_refusals(contract, operation.id):
            found = judge(build_call(contract, operation.id, status, body, media_type))
            assert [one for one in found if one.severity is Severity.ERROR] == [], (operation.id, status, media_type)
            judged += 1
    assert judged >= 5 * len(contract.operations)


@pytest.mark.parametrize(
    ("provider", "status", "body"),
    [
        ("elevenlabs", 401, {"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}),
        ("elevenlabs", 402, {"detail": {"status": "payment_required", "message": "Free users cannot use it."}}),
        ("elevenlabs", 403, {"detail": {"status": "missing_permissions", "message": "Not allowed."}}),
        ("elevenlabs", 404, {"detail": {"status": "voice_not_found", "message": "A voice was not found."}}),
        (
            "openai",
            403,
            {"error": {"message": "No access", "type": "invalid_request_error", "param": None, "code": None}},
        ),
        (
            "openai",
            404,
            {"error": {"message": "No model", "type": "x", "param": None, "code": "model_not_found"}},
        ),
        ("mistral", 400, {"object": "error", "message": "Invalid model", "type": "invalid_model", "code": "1500"}),
        ("mistral", 404, {"detail": "Not Found"}),
        ("deepgram", 402, {"err_code": "ASR_PAYMENT_REQUIRED", "err_msg": "No credit", "request_id": "a"}),
    ],
)
def test_a_refusal_seen_in_public_reports_is_no_error(provider: str, status: int, body: Any) -> None:
    contract = CATALOGUE.find_provider(provider)
    for operation in contract.operations.values():
        if operation.speech is not None:
            found = judge(build_call(contract, operation.id, status, body))
            assert {finding.severity for finding in found} <= {Severity.WARNING, Severity.DISPUTED}, found


@pytest.mark.parametrize(
    ("remaining", "reset", "messages"),
    [
        ("59", "1800000000", []),
        ("60", "60", []),  # a number of seconds
        ("61", "1800000000", ["X-RateLimit-Remaining is 61, more than X-RateLimit-Limit, 60"]),
        ("0", "1700000000", ["X-RateLimit-Reset is 2023-11-14 22:13:20 UTC, before the response"]),
        ("many", "soon", []),  # other rules judge the type
    ],
)
def test_what_remains_of_a_rate_limit_adds_up(remaining: str, reset: str, messages: list[str]) -> None:
    call = build_call(CATALOGUE.find_provider("ttsai"), "listVoices", 200, {"voices": []})
    headers = (
        ("Content-Type", "application/json"),
        ("Date", "Tue, 24 Nov 2026 12:00:00 GMT"),
        ("X-RateLimit-Limit", "60"),
        ("X-RateLimit-Remaining", remaining),
        ("X-RateLimit-Reset", reset),
    )
    response = msgspec.structs.replace(call.exchange.response, headers=headers)
    judged = Call(call.operation, msgspec.structs.replace(call.exchange, response=response))
    found = [finding for finding in judge(judged) if finding.rule == "rate-limit-inconsistent"]
    assert len(found) == len(messages)
    assert all(one.message.startswith(text) for one, text in zip(found, messages, strict=True))
    assert {one.severity for one in found} <= {Severity.WARNING}
