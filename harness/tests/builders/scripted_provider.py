"""A scripted provider, and constants of the tests."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voicegauge.model.base import SpeechRequest

KEY = "k-secret-123456"
WAV = b"RIFF\x00\x00\xff\xfeaudio"
HELLO = SpeechRequest(text="Hello")


def job(state: str, **more: Any) -> JSONResponse:
    """Return a status response."""
    return JSONResponse({"id": "j1", "state": state, **more})


class Script:
    """An ASGI application with scripted responses that records its requests.

    The last response of a route repeats; a route without a script is a 404.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.requests: list[tuple[str, Request, bytes]] = []

    def on(self, route: str, *answers: Any) -> Script:
        """Set the responses of `route`, "METHOD /path"; each is a response or a function of the request."""
        self.answers[route] = list(answers)
        return self

    @property
    def routes(self) -> list[str]:
        return [route for route, _, _ in self.requests]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        route = f"{request.method} {request.url.path}"
        self.requests.append((route, request, body))
        answers = self.answers.get(route, [Response(status_code=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer) and not isinstance(answer, Response):
            answer = await answer(request)
        await answer(scope, receive, send)


class Watcher:
    """An observer that records its notifications in order."""

    waits_for_disk = True

    def __init__(self):
        self.events = []

    def before_submit(self, idempotency_key=None):
        self.events.append("submitting")

    def on_submit_not_sent(self):
        self.events.append("not sent")

    def after_submit(self, http_status, settlement, job_id):
        self.events.append((http_status, settlement.status, job_id))


def audio_at(base, path="/files/a.wav"):
    return f"{base}{path}"


def job_script(script, base, status, *states, **last):
    """A provider whose job goes through `states`."""
    script.on("POST /speech", JSONResponse({"id": "j1", "state": "queued"}, 202))
    done = status("done", audio=audio_at(base), **last)
    script.on("GET /jobs/j1", *(status(state) for state in states), done)
    script.on("GET /files/a.wav", Response(WAV, media_type="audio/wav"))
