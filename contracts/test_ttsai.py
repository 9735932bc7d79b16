"""TTS.ai: facts on which its document contradicts itself or is silent, and the claims of secondary sources."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.price_computation import quote_price
from voicegauge.formats.locations import parse_location
from voicegauge.model.base import Provenance, Severity
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.rules.call import Call
from voicegauge.rules.checker import Checker

MODEL = parse_location("body#/model")
UUID = "77b71db532874ce98e84a69a2d740d4c"
JOB_ID = "f21316bb-aefa-480d-8523-701d1e3184ce"
RATE_LIMIT = (("X-RateLimit-Limit", "10"), ("X-RateLimit-Remaining", "9"), ("X-RateLimit-Reset", "60"))
TEXT = "Hello from TTS.ai! This is a test."


@pytest.fixture(scope="module")
def ttsai() -> Contract:
    return load_catalogue().find_provider("ttsai")


def responded(contract: Contract, operation_id: str, status: int, body: Any, *, target: str | None = None) -> Call:
    operation = contract.find_operation(operation_id)
    body_sent = json.dumps({"model": target, "text": TEXT, "voice": "af_bella"}).encode()
    request = Request(
        method=operation.method,
        url=f"{operation.server.url}{operation.path}",
        headers=(("Content-Type", "application/json"),),
        body=body_sent if operation.method == "POST" else b"",
    )
    media_type = "audio/mpeg" if isinstance(body, bytes) else "application/json"
    response = Response(
        status=status,
        headers=(("Content-Type", media_type), *RATE_LIMIT),
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )
    exchange = Exchange(provider=contract.id, operation=operation_id, request=request, response=response)
    # Only a charge depends on the request.
    if target is None:
        return Call(operation, exchange, request_intent="unknown")
    return Call(operation, exchange, target=contract.find_target_by_name(target))


def severities(call: Call) -> set[tuple[str, str]]:
    return {(f.rule, f.severity.value) for f in Checker(Provenance.RECORDED).iterate_findings(call)}


def submitted(**changes: Any) -> dict[str, Any]:
    job = {"uuid": UUID, "job_id": JOB_ID, "status": "queued", "credits_used": 2 * len(TEXT), "credits_remaining": 9}
    return {**job, **changes}


@pytest.mark.parametrize(
    ("status", "code", "when"),
    [
        ("400", "bad_request", "invalid"),
        ("401", "unauthorized", "unauthorized"),
        ("402", "insufficient_credits", "no-credit"),
        ("403", "forbidden", "forbidden"),
        ("404", "not_found", "not-found"),
        ("413", "file_too_large", "too-large"),
        ("429", "rate_limited", "rate-limited"),
        ("500", "internal_error", "internal"),
        ("503", "model_loading", "busy"),
    ],
)
def test_every_error_code_has_its_status(ttsai: Contract, status: str, code: str, when: str) -> None:
    for operation_id in ("submitSpeech", "createSpeech", "cloneVoice"):
        example, *_ = ttsai.find_operation(operation_id).responses[status].media_types["application/json"].examples
        assert (example.value["error"]["code"], example.rejection_reason) == (code, when)
        assert ("error-shape", "error") not in severities(responded(ttsai, operation_id, int(status), example.value))
        wrong = {"error": {**example.value["error"], "code": "teapot"}}
        assert ("error-shape", "error") in severities(responded(ttsai, operation_id, int(status), wrong))


@pytest.mark.parametrize(
    ("target", "characters"),
    [
        *((name, 1_000) for name in ("piper", "vits", "melotts", "melotts-stream")),
        *((name, 2_000) for name in ("kokoro", "cosyvoice2", "kokoro-sync", "kokoro-stream")),
        *((name, 4_000) for name in ("chatterbox", "tortoise", "chatterbox-stream")),
        *((name, 4_000) for name in ("clone-chatterbox", "clone-cosyvoice2", "clone-gpt-sovits")),
    ],
)
def test_a_thousand_characters_cost_what_their_tier_costs(ttsai: Contract, target: str, characters: float) -> None:
    price = quote_price(ttsai.find_target_by_name(target), 1_000)
    assert (price.price_credits, price.price_usd) == (characters, None)


def test_only_free_models_work_without_a_key(ttsai: Contract) -> None:
    free = {"kokoro", "piper", "vits", "melotts"}
    streamed = {"kokoro-stream", "melotts-stream"}
    assert {t.name for t in ttsai.targets.values() if not t.needs_key} == free | streamed


def test_a_stream_is_documented_and_its_events_are_not(ttsai: Contract) -> None:
    operation = ttsai.find_operation("streamSpeech")
    assert (operation.method, operation.path) == ("POST", "/v1/tts/stream/")
    assert not operation.part_data["x-source"].get("is_inferred")
    assert operation.stream
    assert operation.stream.source
    assert operation.stream.source.is_inferred
    models = {
        target.target_spec.request_constants[MODEL]
        for target in ttsai.targets.values()
        if target.operation is operation
    }
    listed = ttsai.find_operation("listModels").success_response.media_types["application/json"].examples
    streaming = {model["id"] for example in listed for model in example.value["models"] if model["supports_streaming"]}
    assert models == streaming == {"kokoro", "melotts", "chatterbox"}


def test_plans_and_the_keyless_allowance(ttsai: Contract) -> None:
    plans = {
        name: (plan.max_requests_per_minute, plan.max_concurrent_requests, plan.max_text_characters)
        for name, plan in ttsai.limits.plan_limits.items()
    }
    assert plans == {
        "free": (10, 2, 500),
        "starter": (30, 3, 100_000),
        "pro": (60, 5, 100_000),
        "business-plus": (300, 20, 50_000),
    }
    assert ttsai.limits.keyless_limits
    assert ttsai.limits.keyless_limits.max_characters_per_day == 5_000
    assert ttsai.provider.credits
    assert (ttsai.provider.credits.free_credits, ttsai.provider.credits.usd_per_credit) == (15_000, None)


@pytest.mark.parametrize("status", [200, 202])
def test_the_response_to_a_submit_is_a_queued_job(ttsai: Contract, status: int) -> None:
    assert severities(responded(ttsai, "submitSpeech", status, submitted(), target="kokoro")) == set()


def test_contradicting_claims_about_a_submit_are_disputed(ttsai: Contract) -> None:
    audio = responded(ttsai, "submitSpeech", 200, b"\xff\xfb\x90\x00")
    assert severities(audio) == {("content-type", "disputed")}
    cached = submitted(status="completed", result_url="https://api.tts.ai/static/downloads/1/output.mp3")
    assert severities(responded(ttsai, "submitSpeech", 200, cached)) == {("response-schema", "disputed")}


def test_an_undocumented_response_to_a_submit_is_an_error(ttsai: Contract) -> None:
    for wrong in (submitted(status="completed"), submitted(uuid="7"), submitted(job_id=None), {"status": "queued"}):
        assert ("response-schema", "error") in severities(responded(ttsai, "submitSpeech", 200, wrong))


def test_a_charge_is_disputed_only_if_a_claim_states_it(ttsai: Contract) -> None:
    def verdict(charged: float, target: str) -> str | None:
        call = responded(ttsai, "submitSpeech", 200, submitted(credits_used=charged), target=target)
        return next(
            (f.severity.value for f in Checker(Provenance.RECORDED).iterate_findings(call) if f.rule == "charge-wrong"),
            None,
        )

    assert verdict(2 * len(TEXT), "kokoro") is None
    assert verdict(11, "kokoro") == Severity.DISPUTED
    assert verdict(len(TEXT), "kokoro") == Severity.DISPUTED
    assert verdict(len(TEXT), "cosyvoice2") == Severity.ERROR
    assert verdict(3 * len(TEXT), "kokoro") == Severity.ERROR
    assert verdict(4 * len(TEXT), "tortoise") is None


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ({"status": "completed", "result_url": "https://api.tts.ai/static/downloads/1/output.mp3"}, None),
        ({"status": "processing"}, None),
        ({"status": "failed"}, None),
        ({"status": "failed", "error": "out of memory"}, None),
        ({"status": "completed", "cdn_url": "https://cdn.tts.ai/1.mp3"}, "disputed"),
        ({"status": "completed", "url": "https://cdn.tts.ai/1.mp3"}, "disputed"),
        ({"status": "completed"}, "error"),
        ({"status": "done"}, "error"),
    ],
)
def test_results_by_each_source(ttsai: Contract, body: dict[str, Any], severity: str | None) -> None:
    found = {level for _, level in severities(responded(ttsai, "getSpeechResult", 200, body))}
    found -= {"warning", "info"}
    assert found == ({severity} if severity else set())


@pytest.mark.parametrize(
    ("operation_id", "status", "body"),
    [
        ("cloneVoice", 200, {"uuid": UUID, "status": "queued", "url": None}),
        ("listModels", 200, {"models": [{"name": "kokoro", "tier": "standard", "credits_per_1k": 2}]}),
        (
            "listVoices",
            200,
            {"voices": [{"voice_id": "af_bella", "model_name": "kokoro", "is_premium": False}], "total": 1},
        ),
        ("submitSpeech", 402, {"error": "Not enough credits", "credits_needed": 4000, "credits_remaining": 2000}),
        ("submitSpeech", 429, {"message": "Too many requests."}),
    ],
)
def test_the_structures_that_the_sdks_read_are_disputed(
    ttsai: Contract, operation_id: str, status: int, body: dict[str, Any]
) -> None:
    found = severities(responded(ttsai, operation_id, status, body))
    assert found
    assert {level for _, level in found} == {"disputed"}


def test_the_models_and_voices_of_the_emulator_cover_every_target(ttsai: Contract) -> None:
    def catalogue(operation_id: str) -> Any:
        media = ttsai.find_operation(operation_id).responses["200"].media_types["application/json"]
        (example,) = [example for example in media.examples if example.is_inferred]
        return example.value

    models = {model["id"] for model in catalogue("listModels")["models"]}
    voices = catalogue("listVoices")
    spoken = {(voice["model"], voice["id"]) for voice in voices["voices"]}
    assert voices["total"] == len(voices["voices"])
    for target in ttsai.targets.values():
        (model,) = target.target_spec.request_constants.values()
        assert model in models
        if target.target_spec.default_voice is not None:
            assert (model, target.target_spec.default_voice) in spoken
