"""A server with OpenAI's speech API that a user could run, with mistakes that such servers have."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from voicegauge.emulator.server import running_app

from .audio import make_changing_noise

SAMPLE_RATE_HZ = 16_000
MAX_WORDS = 20
"""Number of words after which its speech breaks off, so that no test listens to the longest text for minutes."""


def _make_sound(text: str) -> NDArray[np.float32]:
    """Return sound of 0.4 s for each of the first words, whatever voice and speed were requested."""
    words = min(max(1, len(text.split())), MAX_WORDS)
    return np.asarray(make_changing_noise(0.4 * words, SAMPLE_RATE_HZ, text=text))


def _speak_unless_too_fast(samples: NDArray[np.float32], speed: Any, max_speed: float | None) -> Response:
    if max_speed is not None and isinstance(speed, int | float) and speed > max_speed:
        return JSONResponse({"status_code": 400, "detail": "too fast"})
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV")
    return Response(file.getvalue(), media_type="audio/wav")


@contextmanager
def running_own_server(
    *,
    key: str | None = None,
    voices: list[Any] | None = None,
    has_models: bool = True,
    has_web_page: bool = False,
    prefix: str = "/v1",
    is_strict: bool = False,
    other_models: Sequence[str] = (),
    has_tiny_model: bool = True,
    max_speed: float | None = None,
    page_methods: Sequence[str] = ("GET",),
    speak: Callable[[str], NDArray[np.float32]] = _make_sound,
) -> Iterator[str]:
    """Run the server; yield its root URL.

    Args:
        key: the key that it requires; `None` if it needs none.
        voices: its list of voices; `None` if it has no such list.
        has_models: whether it lists its models.
        has_web_page: whether a page is the response to every request elsewhere that has one of `page_methods`.
        prefix: path of the API.
        other_models: further models that it lists before its own, without saying what they are for.
        has_tiny_model: whether it lists its own model, "tiny".
        max_speed: the largest speed; the response to a larger one is an error with the status 200.
        is_strict: whether models and voices that it does not list are rejected with 400.
        page_methods: methods of requests for the page.
        speak: returns what it says for a text, as samples at `SAMPLE_RATE_HZ`.
    """

    def is_allowed(request: Request) -> bool:
        return key is None or request.headers.get("authorization") == f"Bearer {key}"

    async def create_speech(request: Request) -> Response:
        if not is_allowed(request):
            return JSONResponse({"detail": "no key"}, 401)
        try:
            body = await request.json()
            text = body["input"]
            assert isinstance(text, str)
            assert isinstance(body.get("voice", ""), str)
        except (ValueError, KeyError, AssertionError, TypeError):
            return JSONResponse({"detail": [{"msg": "not valid"}]}, 422)
        if is_strict and (body.get("model", "tiny") != "tiny" or body.get("voice") not in (None, *(voices or []))):
            error = {"message": "no such name", "type": "invalid_request_error", "param": None, "code": None}
            return JSONResponse({"error": error}, 400)
        return _speak_unless_too_fast(speak(text), body.get("speed"), max_speed)

    async def list_models(request: Request) -> Response:
        recognizer = {"id": "hears", "task": "automatic-speech-recognition"}
        described = {"object": "model", "created": 1, "owned_by": "me"}
        models = [{"id": name, **described} for name in (*other_models, *(["tiny"] if has_tiny_model else []))]
        models[:0] = [{"id": "missing", "installed": False, **described}, {**recognizer, **described}]
        if not is_allowed(request):
            return JSONResponse({"detail": "no key"}, 401)
        return JSONResponse({"object": "list", "data": models})

    async def list_voices(request: Request) -> Response:
        return JSONResponse({"voices": voices})

    async def show_page(_request: Request) -> Response:
        return HTMLResponse("<!doctype html>")

    routes = [Route("/audio/speech", create_speech, methods=["POST"])]
    routes += [Route("/models", list_models)] if has_models else []
    routes += [Route("/audio/voices", list_voices)] if voices is not None else []
    pages = [Route("/{path:path}", show_page, methods=list(page_methods))] if has_web_page else []
    app = Starlette(routes=[Mount(prefix, routes=routes), *pages])
    with running_app(app) as url:
        yield url
