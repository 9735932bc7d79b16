"""A provider that answers as told, and what the tests say to it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voicegauge.model import SpeechRequest

KEY = "k-secret-123456"
WAV = b"RIFF\x00\x00\xff\xfeaudio"
HELLO = SpeechRequest(text="Hello")


def job(state: str, **more: Any) -> JSONResponse:
    """A status answer."""
    return JSONResponse({"id": "j1", "state": state, **more})


class Script:
    """An ASGI application that answers as told, and keeps what it was asked.

    The last answer of a route repeats; a route that was never told of is a 404.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, Request, bytes]] = []

    def on(self, route: str, *answers: Any) -> Script:
        """`route` is "METHOD /path"; an answer is a response, or a function of the request."""
        self.answers[route] = list(answers)
        return self

    @property
    def routes(self) -> list[str]:
        return [route for route, _, _ in self.asked]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        route = f"{request.method} {request.url.path}"
        self.asked.append((route, request, body))
        answers = self.answers.get(route, [Response(status_code=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer) and not isinstance(answer, Response):
            answer = await answer(request)
        await answer(scope, receive, send)


class Watcher:
    """An observer that keeps what it was told, in order."""

    def __init__(self):
        self.told = []

    def before_submit(self, target, request):
        self.told.append(("submitting", target.id, request.method))

    def after_submit(self, target, exchange, job_id):
        self.told.append(("submitted", target.id, exchange.response.status, job_id))


def audio_at(base, path="/files/a.wav"):
    return f"{base}{path}"


def job_script(script, base, status, *states, **last):
    """A provider whose job goes through `states`."""
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    done = status("done", audio=audio_at(base), **last)
    script.on("GET /jobs/j1", *(status(state) for state in states), done)
    script.on("GET /files/a.wav", Response(WAV, media_type="audio/wav"))
