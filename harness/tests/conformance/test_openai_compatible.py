"""A server of one's own that claims OpenAI's speech API, checked without a key and without a price."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import voicegauge
from voicegauge.conformance.check_report import CheckReport
from voicegauge.emulator.server import running_app
from voicegauge.files import find_bundled_folder
from voicegauge.model.base import Severity
from voicegauge.speech.encoding import encode

from ..builders.audio import make_changing_noise

RATE = 24_000
MAX_CHARACTERS = 100
"""Longest text, instead of the 4,096 characters of the document, which are minutes of speech."""
MEDIA_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "pcm": "audio/pcm"}


class OwnServer:
    """A server like many with FastAPI: invalid requests get the status 422, and it has no list of voices."""

    def __init__(self) -> None:
        self.url = ""
        self.authorizations: set[str | None] = set()
        self.ignores_all_but_the_text = False

    async def speak(self, request: Request) -> Response:
        self.authorizations.add(request.headers.get("authorization"))
        body = await _read_body(request)
        problem = _find_problem(body)
        if problem is not None:
            return JSONResponse({"detail": [{"loc": ["body", problem], "msg": "not valid", "type": "value"}]}, 422)
        if self.ignores_all_but_the_text:
            body = {"input": body["input"]}
        name = body.get("response_format", "wav" if self.ignores_all_but_the_text else "mp3")
        if name not in MEDIA_TYPES or body.get("stream_format") == "sse":
            return JSONResponse({"detail": "not supported"}, 400)
        seconds = len(body["input"]) / 15 / body.get("speed", 1) + 0.3
        noise = make_changing_noise(seconds, RATE, text=f"{body.get('voice', '')} {body['input']}")
        format_name = "pcm_s16le" if name == "pcm" else name
        return Response(encode(noise, RATE, format_name)[0], media_type=MEDIA_TYPES[name])

    async def list_models(self, request: Request) -> Response:
        del request
        model = {"id": "tts-1", "object": "model", "created": 1, "owned_by": "me"}
        return JSONResponse({"object": "list", "data": [model]})


async def _read_body(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        return None


def _find_problem(body: Any) -> str | None:
    """Return the name of an invalid field; `None` if there is none."""
    if not isinstance(body, dict):
        return "body"
    checks: dict[str, Callable[[Any], bool]] = {
        "input": lambda value: isinstance(value, str) and len(value) <= MAX_CHARACTERS,
        "model": lambda value: isinstance(value, str),
        "voice": lambda value: isinstance(value, str),
        "instructions": lambda value: isinstance(value, str) and len(value) <= MAX_CHARACTERS,
        "response_format": lambda value: value in ("mp3", "opus", "aac", "flac", "wav", "pcm"),
        "stream_format": lambda value: value in ("sse", "audio"),
        "speed": lambda value: isinstance(value, int | float) and value is not True and 0.25 <= value <= 4,
    }
    if "input" not in body:
        return "input"
    return next((name for name, value in body.items() if name in checks and not checks[name](value)), None)


@contextlib.contextmanager
def serve_own() -> Iterator[OwnServer]:
    own = OwnServer()
    routes = [
        Route("/v1/audio/speech", own.speak, methods=["POST"]),
        Route("/v1/models", own.list_models, methods=["GET"]),
    ]
    with running_app(Starlette(routes=routes), port=0) as url:
        own.url = f"{url}/v1"
        yield own


def check_own_server(own_server: OwnServer, folder: Path, **limits: float) -> CheckReport:
    document = (find_bundled_folder("contracts") / "openai-compatible" / "openapi.yaml").read_text(encoding="utf-8")
    (folder / "openai-compatible").mkdir()
    shortened = document.replace("maxLength: 4096", f"maxLength: {MAX_CHARACTERS}")
    (folder / "openai-compatible" / "openapi.yaml").write_text(shortened, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)
        live = voicegauge.LiveOptions(base_urls={"": own_server.url}, **limits)
        report = voicegauge.check("openai-compatible", live=live, max_calls=21, contracts=[folder])
    assert (report.spent_usd, report.spending.total.billable_request_count) == (0, 0)
    assert own_server.authorizations == {None}
    return report


def group_severities(report: CheckReport) -> dict[str, Severity]:
    """Return the severity of each rule with a finding."""
    return {finding.rule: finding.severity for finding in report.findings}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> CheckReport:
    """A check of a server that rejects some formats and streams, without a limit of costs."""
    with serve_own() as own_server:
        return check_own_server(own_server, tmp_path_factory.mktemp("contracts"))


@pytest.mark.slow
def test_one_cause_is_one_finding(report) -> None:
    rejections = [finding for finding in report.findings if finding.rule == "rejects-valid"]
    (of_streams,) = (finding for finding in rejections if "'sse'" in finding.message)
    assert of_streams.case_id == "openai-compatible/speech-sse: a full delivery"
    assert of_streams.message.startswith("requests with body#/stream_format 'sse': rejected with 4")
    assert (of_streams.message_counts, of_streams.occurrence_count >= 3) == ({}, True)
    (of_formats,) = (one for one in rejections if one is not of_streams and one.severity is Severity.ERROR)
    assert of_formats.case_id == 'openai-compatible/createSpeech: response_format "opus"'
    assert all(one.startswith("requests with body#/response_format '") for one in of_formats.message_counts)
    (disputed,) = (one for one in report.findings if one.severity is Severity.DISPUTED and "422" in one.message)
    assert disputed.rule == "status-undocumented"


def test_what_a_server_does_otherwise_is_found(tmp_path: Path) -> None:
    with serve_own() as own_server:
        own_server.ignores_all_but_the_text = True
        findings = group_severities(check_own_server(own_server, tmp_path, max_cost_usd=0))
    errors = {rule for rule, severity in findings.items() if severity is Severity.ERROR}
    assert errors == {"audio-format", "speed-ignored", "voice-ignored", "response-kind-ignored"}


@pytest.mark.slow
def test_formats_and_streams_that_a_server_rejects_are_found(report) -> None:
    findings = group_severities(report)
    errors = {rule for rule, severity in findings.items() if severity is Severity.ERROR}
    assert errors == {"rejects-valid"}
    assert {rule for rule, severity in findings.items() if severity is Severity.DISPUTED} <= {
        "wrong-error-status",
        "status-undocumented",
        "error-shape",
        "rejects-valid",
    }
