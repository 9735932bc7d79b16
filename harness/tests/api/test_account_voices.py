"""Live requests use a voice that the account has; the documented one if the account lists none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import voicegauge
from voicegauge.emulator.server import running_app
from voicegauge.errors import VoicegaugeError

from ..builders.notices import NoticeList

KEY = "k-0123456789abcdef"


class Account:
    """An account of ElevenLabs whose voices a test chooses."""

    def __init__(self) -> None:
        self.url = ""
        self.voices: list[dict[str, str]] | None = []
        """The listed voices; `None` for an error."""
        self.used_voices: set[str] = set()
        self.events: list[str] = []
        """Notices and received requests, in the order of time."""

    async def list_voices(self, request: Request) -> Response:
        self.events.append(f"{request.method} with {request.headers['xi-api-key']}")
        if self.voices is None:
            return JSONResponse({"detail": {"status": "missing_permissions"}}, 401)
        return JSONResponse({"voices": self.voices})

    async def speak(self, request: Request) -> Response:
        self.events.append(f"{request.method} with {request.headers['xi-api-key']}")
        self.used_voices.add(request.path_params["voice"])
        return JSONResponse({"detail": {"status": "invalid_request"}}, 400)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))
    made = Account()
    routes = [
        Route("/v1/voices", made.list_voices),
        Route("/v1/text-to-speech/{voice}", made.speak, methods=["POST"]),
    ]
    with running_app(Starlette(routes=routes)) as made.url:
        yield made


def voice(voice_id: str, category: str = "premade") -> dict[str, str]:
    return {"voice_id": voice_id, "name": "Name", "category": category}


@pytest.mark.parametrize(
    ("voices", "used", "notice"),
    [
        ([voice("library", "professional"), voice("mine", "cloned")], "mine", "1 voice listed, not the documented one"),
        ([voice("other"), voice("JBFqnCBsd6RMkjVDRZzb")], "JBFqnCBsd6RMkjVDRZzb", "2 voices listed"),
        ([], "JBFqnCBsd6RMkjVDRZzb", "no voices listed; uses the documented voice"),
        (None, "JBFqnCBsd6RMkjVDRZzb", "no voices listed; uses the documented voice"),
    ],
)
def test_a_check_uses_a_voice_that_the_account_has(account, voices, used, notice) -> None:
    account.voices = voices
    lines: list[str] = []

    live = voicegauge.LiveOptions(base_urls={"": account.url})
    case_id = "elevenlabs/flash-v2-5: a full delivery"
    voicegauge.check("elevenlabs/flash-v2-5", live=live, case_ids=[case_id], progress=NoticeList(lines))
    assert account.used_voices == {used}
    assert any(notice in line and used in line for line in lines)


class AccountWithPages:
    """An account of Cartesia with 250 voices, which are listed in pages of at most 100."""

    def __init__(self, documented_at: int | None) -> None:
        self.voices = [{"id": f"voice-{index}", "language": "en"} for index in range(250)]
        self.voices[0]["language"] = "hi"
        if documented_at is not None:
            self.voices[documented_at]["id"] = KATIE
        self.used_voices: set[str] = set()
        self.list_count = 0

    async def list_voices(self, request: Request) -> Response:
        self.list_count += 1
        if "cartesia-version" not in request.headers:
            return JSONResponse({"message": "no version"}, 400)
        ids = [one["id"] for one in self.voices]
        after, size = request.query_params.get("starting_after"), int(request.query_params.get("limit", 10))
        start = ids.index(after) + 1 if after else 0
        page = self.voices[start : start + size]
        return JSONResponse({"data": page, "has_more": start + size < len(ids)})

    async def speak(self, request: Request) -> Response:
        self.used_voices.add((await request.json())["voice"]["id"])
        return JSONResponse({"message": "not today"}, 400)


KATIE = "f786b574-daa5-4673-aa0c-cbe3e8534c02"


@pytest.mark.parametrize(
    ("documented_at", "used", "list_count", "notice"),
    [
        (230, KATIE, 3, "249 voices listed; uses voice"),
        (50, KATIE, 1, "99 voices listed; uses voice"),
        (None, "voice-1", 3, "249 voices listed, not the documented one; uses voice"),
    ],
)
def test_a_list_in_pages_is_read_until_it_has_the_documented_voice(
    monkeypatch, tmp_path, documented_at, used, list_count, notice
) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path))
    account = AccountWithPages(documented_at)
    routes = [Route("/voices", account.list_voices), Route("/tts/bytes", account.speak, methods=["POST"])]
    lines: list[str] = []
    with running_app(Starlette(routes=routes)) as url:
        live = voicegauge.LiveOptions(base_urls={"": url})
        case_id = "cartesia/sonic-3.5: a full delivery"
        voicegauge.check("cartesia/sonic-3.5", live=live, case_ids=[case_id], progress=NoticeList(lines))
    assert account.used_voices == {used}
    assert account.list_count == list_count
    assert any(notice in line and used in line for line in lines), lines


def check(account: Account, target: str, listener: voicegauge.ProgressListener, live: voicegauge.LiveOptions) -> None:
    voicegauge.check(target, live=live, case_ids=[f"{target}: a full delivery"], progress=listener)


def benchmark(
    account: Account, target: str, listener: voicegauge.ProgressListener, live: voicegauge.LiveOptions
) -> None:
    baseline_url = account.url.replace("127.0.0.1", "localhost")
    voicegauge.benchmark(
        target, live=live, max_texts=1, warmup=0, asr="none", baseline_url=baseline_url, progress=listener
    )


def check_request(
    account: Account, target: str, listener: voicegauge.ProgressListener, live: voicegauge.LiveOptions
) -> None:
    voicegauge.check_request(target, live=live, progress=listener)


def record(account: Account, target: str, listener: voicegauge.ProgressListener, live: voicegauge.LiveOptions) -> None:
    voicegauge.record(target, live=live, progress=listener)


@pytest.mark.parametrize(
    ("verb", "hosts"),
    [
        (check, 1),
        (benchmark, 2),
        pytest.param(check_request, 1, marks=pytest.mark.slow),
        pytest.param(record, 1, marks=pytest.mark.slow),
    ],
)
def test_where_a_key_goes_is_said_before_anything_is_sent_and_before_any_other_notice(
    account, monkeypatch, tmp_path, verb, hosts
) -> None:
    monkeypatch.chdir(tmp_path)
    account.voices = [voice("other")]

    live = voicegauge.LiveOptions(base_urls={"": account.url}, max_cost_usd=100)
    with contextlib.suppress(VoicegaugeError):  # everything is rejected
        verb(account, "elevenlabs/flash-v2-5", NoticeList(account.events), live)
    said = account.events[:hosts]
    assert all(event.startswith("LIVE: elevenlabs") and "ELEVENLABS_API_KEY" in event for event in said)
    assert f"POST with {KEY}" in account.events[hosts:]
    assert not any("sends the key" in event for event in account.events[hosts:])
