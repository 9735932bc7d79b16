"""A server with OpenAI's transcription API that a user could run, with mistakes that such servers have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.emulator.server import running_app

MODEL = "tiny"
DURATION_S = 3.0


@contextmanager
def running_transcription_server(
    *, key: str | None = None, is_strict: bool = False, breaks_after_500: bool = False
) -> Iterator[str]:
    """Run the server; yield its base URL.

    Args:
        key: the key that it requires; `None` if it reads none.
        is_strict: whether it has no mistake. Otherwise it hears every text as another one, accepts every model and
            format, has no subtitles, and answers a text instead of a recording with 500.
        breaks_after_500: whether it closes the connection after a 500 without saying so, as uvicorn does.
    """
    sentence = load_spoken_sentence("mp3")

    def find_mistake(sent: dict[str, str], data: bytes) -> tuple[str, int] | None:
        """Return what is wrong with a request, and the status that says so; `None` if nothing is."""
        checks = {
            ("a field is missing", 400): not data or (is_strict and "model" not in sent),
            ("not audio", 400 if is_strict else 500): bool(data) and not is_audio(data),
            ("no such model", 404): is_strict and sent.get("model") != MODEL,
            ("no such value", 400): is_strict and not has_known_values(sent),
            ("no subtitles", 400): not is_strict and sent.get("response_format") in ("srt", "vtt"),
        }
        return next((mistake for mistake, is_made in checks.items() if is_made), None)

    async def transcribe(request: Request) -> Response:
        async with request.form() as form:
            sent = {name: value for name, value in form.items() if isinstance(value, str)}
            file = form.get("file")
            data = await file.read() if isinstance(file, UploadFile) else b""
        is_allowed = key is None or request.headers.get("authorization") == f"Bearer {key}"
        mistake = find_mistake(sent, data) if is_allowed else ("no key", 401)
        if mistake is None:
            return build_response(sent, sentence.text if is_strict else "Thanks for watching.")
        message, status = mistake
        if status == 500 and breaks_after_500:
            raise RuntimeError(message)
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return JSONResponse({"error": error}, status)

    async def list_models(request: Request) -> Response:
        described = {"object": "model", "created": 1, "owned_by": "me"}
        speaking = {"id": "speaks", "task": "text-to-speech", **described}
        return JSONResponse({"object": "list", "data": [speaking, {"id": MODEL, **described}]})

    routes = [Route("/v1/audio/transcriptions", transcribe, methods=["POST"]), Route("/v1/models", list_models)]
    with running_app(Starlette(routes=routes)) as url:
        yield f"{url}/v1"


FORMATS = ("json", "text", "srt", "verbose_json", "vtt")


def is_audio(data: bytes) -> bool:
    """Whether the first bytes are those of an audio file."""
    return not data[:1].isalpha() or data[:4] in (b"RIFF", b"fLaC", b"OggS") or data[:3] == b"ID3"


def has_known_values(sent: dict[str, str]) -> bool:
    """Whether the format and the granularity are those of OpenAI's API."""
    granularity = sent.get("timestamp_granularities[]", "segment")
    return granularity in ("word", "segment") and sent.get("response_format", "json") in FORMATS


def build_response(sent: dict[str, str], text: str) -> Response:
    """Return a transcript in the requested format of OpenAI's API."""
    kind = sent.get("response_format", "json")
    if kind == "text":
        return PlainTextResponse(text)
    if kind == "srt":
        return PlainTextResponse(f"1\n00:00:00,000 --> 00:00:03,000\n{text}\n")
    if kind == "vtt":
        return PlainTextResponse(f"WEBVTT\n\n00:00.000 --> 00:03.000\n{text}\n")
    body: dict[str, Any] = {"text": text}
    if kind == "verbose_json":
        body |= {"task": "transcribe", "language": "english", "duration": DURATION_S}
        if sent.get("timestamp_granularities[]") == "word":
            words = text.split()
            body["words"] = [{"word": w, "start": i * 0.2, "end": i * 0.2 + 0.2} for i, w in enumerate(words)]
        else:
            body["segments"] = [{"id": 0, "start": 0.0, "end": 3.0, "text": text}]
    return JSONResponse(body)
