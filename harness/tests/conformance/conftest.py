from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mutation.applicability import watch_applicability
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import CasePlan, plan_cases
from voicegauge.conformance.check_report import CheckReport
from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.contract.loading import Catalogue
from voicegauge.emulator.process import RunningEmulator, running_emulator
from voicegauge.rules.registry import RULE_BY_ID
from voicegauge.speech.encoding import encode

from ..builders.acme import YAML_PREAMBLE
from ..builders.audio import make_changing_noise
from ..builders.in_process_check import check_plan_in_process

Check = Callable[..., CheckReport]
_PLANS: dict[tuple[object, ...], CasePlan] = {}
"""Plans by targets. Equal targets have equal plans (see `test_planning.py`), and making one takes a second."""


def _control(emulator: RunningEmulator, method: str, route: str, body: object) -> None:
    headers = {"Content-Type": "application/json"}
    url = f"{emulator.control_url}/{route}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
        assert response.status == 200


@pytest.fixture
def inject_faults(voicegauge_emulator: RunningEmulator) -> Iterator[Callable[..., None]]:
    """Inject faults into the shared emulator; they are removed after the test."""

    def inject(*faults: str) -> None:
        _control(voicegauge_emulator, "PUT", "faults", {"faults": list(faults)})

    yield inject
    _control(voicegauge_emulator, "PUT", "faults", {"faults": []})
    _control(voicegauge_emulator, "POST", "reset", {})


@pytest.fixture
def check(voicegauge_catalogue: Catalogue) -> Check:
    """Check targets against an emulator in this process: all cases, or those that `only` chooses.

    Every check also shows that no rule finds anything at an operation to which it does not apply.
    """

    def run(
        names: Sequence[str],
        *,
        faults: Sequence[str] = (),
        only: Callable[[ConformanceCase], bool] = lambda _: True,
        fully_checked_providers: Sequence[str] | None = None,
        fuzz: int = 0,
        seed: int = 0,
        emulator: RunningEmulator | None = None,
    ) -> CheckReport:
        targets = voicegauge_catalogue.select_targets(names)
        key = (id(voicegauge_catalogue), *names, fully_checked_providers)
        if key not in _PLANS:
            _PLANS[key] = plan_cases(
                targets,
                is_emulated=True,
                include_all_billable_cases=True,
                include_large_uploads=False,
                fully_checked_providers=fully_checked_providers,
            )
        plan = _PLANS[key]
        chosen = CasePlan(cases=tuple(case for case in plan.cases if only(case)), skipped_cases=plan.skipped_cases)
        misplaced: set[str] = set()
        report = check_plan_in_process(
            targets,
            chosen,
            names=names,
            faults=faults,
            seed=seed,
            emulator=emulator,
            fuzz_request_count=fuzz,
            rules=watch_applicability(RULE_BY_ID, misplaced),
        )
        assert misplaced == set(), "rules have findings where they do not apply"
        return report

    return run


@pytest.fixture
def check_over_sockets(check: Check, voicegauge_catalogue: Catalogue) -> Check:
    """Check targets against an emulator on a socket, for faults of connections."""

    def run(names: Sequence[str], *, faults: Sequence[str], **options: Any) -> CheckReport:
        with running_emulator(voicegauge_catalogue, build_emulator_settings(faults=faults)) as emulator:
            return check(names, emulator=emulator, **options)

    return run


ACME = (
    YAML_PREAMBLE
    # By default, a request that fails four times takes seven seconds.
    + """\
  retry_policy: {initial_delay_s: 0.05, max_delay_s: 0.05}
paths:
  /speak:
    post:
      operationId: speak
      x-speech:
        request_fields: {text: "body#/text", speed: "body#/speed"}
        response: {audio: {location: body, delivery_method: bytes, format: wav}}
        targets:
          voice-1: {title: Voice 1}
      x-pricing: PRICE
      requestBody:
        content:
          application/json:
            schema:
              type: object
              required: [text]
              properties:
                text: {type: string, minLength: 1, maxLength: 200}
                speed: {type: number, minimum: 0.5, maximum: 2}
      responses:
        "200": {description: Audio, content: {audio/wav: {}}}
        "400": {description: Rejected, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
        "402": {description: No money, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
        "401": {description: No key, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Error: {type: object, required: [error], properties: {error: {type: string}}}
"""
)
ACME_KEY = "sk-acme-0123456789abcdef"


class Acme:
    """A small provider on a real socket, which does not use its contract."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[str] = []
        self.texts: list[str] = []
        self.accepts_anything = False
        self.is_silent = False
        self.next_statuses: list[int] = []
        """Statuses of the next requests, before others are answered."""
        self.retry_after_s = 0
        """Seconds that their Retry-After asks to wait."""
        self.status_of_all: int | None = None
        self.error_body: object = {"error": "not now"}
        """The body with `status_of_all`."""
        self.silent_after: int | None = None
        """Number of requests it responds to before it stops responding."""
        self.breaks_off: Callable[[str], bool] = lambda _: False
        """Returns whether the audio of a text breaks off."""
        self.leaks: str | None = None
        """Additional text in its rejections."""
        self.requests_in_flight = 0
        self.unanswered_request_count = 0
        """Number of requests in flight that get no response while `silent_after` is set."""
        self.server_header = "acme"

    @property
    def stops_responding(self) -> bool:
        return self.silent_after is not None and len(self.keys) > self.silent_after

    async def speak(self, request: Request) -> Response:
        self.requests_in_flight += 1
        try:
            response = await self._respond(request)
            response.headers["Server"] = self.server_header
            return response
        finally:
            self.requests_in_flight -= 1

    async def _respond(self, request: Request) -> Response:
        content = await request.body()  # a connection that is closed with unread bytes may lose the response
        key = request.headers.get("authorization", "")
        self.keys.append(key)
        if self.stops_responding:
            self.unanswered_request_count += 1
            while self.stops_responding:  # noqa: ASYNC110 - a test's word
                await asyncio.sleep(0.01)
            self.unanswered_request_count -= 1
        if self.next_statuses:
            return JSONResponse(self.error_body, self.next_statuses.pop(0), {"Retry-After": str(self.retry_after_s)})
        if self.status_of_all is not None:
            return JSONResponse(self.error_body, self.status_of_all)
        if key != f"Bearer {ACME_KEY}":
            return JSONResponse({"error": "no key"}, 401)
        try:
            body = json.loads(content)
            text, speed = body["text"], body.get("speed", 1)
            valid = isinstance(text, str) and 1 <= len(text) <= 200
            valid = valid and isinstance(speed, int | float) and not isinstance(speed, bool) and 0.5 <= speed <= 2
        except (ValueError, KeyError, TypeError, AttributeError):
            text, speed, valid = "", 1, False
        if not valid and not self.accepts_anything:
            return JSONResponse({"error": "not valid", **({"trace": self.leaks} if self.leaks else {})}, 400)
        self.texts.append(str(text))
        if self.breaks_off(str(text)):
            return StreamingResponse(_break_off(), media_type="audio/wav")
        seconds = len(str(text)) / 15 / (speed if valid else 1) + 0.3
        return Response(_noise(seconds, 0.0 if self.is_silent else 0.1, str(text)), media_type="audio/wav")


async def _break_off() -> AsyncIterator[bytes]:
    """Yield the beginning of a chunked body, and let the server abort it."""
    yield b"RIFF"
    raise RuntimeError("the synthesis failed")


def _noise(seconds: float, level: float, text: str) -> bytes:
    rate = 8_000
    return encode(make_changing_noise(seconds, rate, level=level, text=text), rate, "wav")[0]


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test continues the live check of another one whose server had the same port."""
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path / "state"))


@pytest.fixture
def acme() -> Iterator[Acme]:
    """A small provider, running in a thread."""
    provider = Acme()
    app = Starlette(routes=[Route("/speak", provider.speak, methods=["POST"])])
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", lifespan="off", server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield provider
    server.should_exit = True
    thread.join(60)
    listening.close()


@pytest.fixture
def acme_contracts(tmp_path: Path) -> Callable[..., Path]:
    """Write the contract of the small provider into a folder."""

    def write(price: str = "{unit: request, usd_per_unit: 0.001, source: {document_name: acme.txt}}") -> Path:
        folder = tmp_path / "my-contracts" / "acme"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "openapi.yaml").write_text(ACME.replace("PRICE", price))
        return folder.parent

    return write
