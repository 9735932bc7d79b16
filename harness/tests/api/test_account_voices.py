"""Live requests use a voice that the account has; the documented one if the account lists none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import voicegauge
from voicegauge.emulator.socket_server import running_app

KEY = "k-0123456789abcdef"


class Account:
    """An account of ElevenLabs whose voices a test chooses."""

    def __init__(self) -> None:
        self.url = ""
        self.voices: list[dict[str, str]] | None = []
        """The listed voices; `None` for an error."""
        self.used_voices: set[str] = set()

    async def list_voices(self, _: Request) -> Response:
        if self.voices is None:
            return JSONResponse({"detail": {"status": "missing_permissions"}}, 401)
        return JSONResponse({"voices": self.voices})

    async def speak(self, request: Request) -> Response:
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

    class Notices(voicegauge.ProgressListener):
        def notice(self, text: str) -> None:
            lines.append(text)

    live = voicegauge.LiveOptions(base_urls={"": account.url})
    case_id = "elevenlabs/flash-v2-5: a full delivery"
    voicegauge.check("elevenlabs/flash-v2-5", live=live, case_ids=[case_id], progress=Notices())
    assert account.used_voices == {used}
    assert any(notice in line and used in line for line in lines)
