"""A provider that is independent of the emulator and keeps its own account of what it charges."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from voicegauge.recording.masking import INVALID_API_KEY
from voicegauge.transport.timing import Clock, RealClock

FOLDER = Path(__file__).parent
CONTRACTS = FOLDER / "contracts"
CONTRACT = CONTRACTS / "acme" / "openapi.yaml"
SUITE = FOLDER / "suite.yaml"
TARGETS = ("sync", "streamed", "queued", "batch", "idempotent")
_TARGET_OF_PATH = {"/say": "sync", "/once": "idempotent", "/stream": "streamed", "/jobs": "queued", "/batches": "batch"}
CHARGED_USD = {"sync": 0.008, "streamed": 0.02, "queued": 0.009, "batch": 0.03, "idempotent": 0.01}
"""What a request really costs. It is below the documented price where a response reports it."""
CHUNKS = 4

Fault = str
SUBMIT_FAULTS: Sequence[Fault] = (
    "busy",
    "rate limited",
    "server error",
    "server error after charging",
    "connection lost",
    "connection lost after charging",
)
UNCHARGED_FAULTS = ("server error", "connection lost")
"""Faults of submits that are not charged, although they are or may be performed."""
POLL_FAULTS: Sequence[Fault] = ("server error", "connection lost", "unreadable")
DOWNLOAD_FAULTS: Sequence[Fault] = ("server error", "connection lost")


class Charge(NamedTuple):
    """One request that was charged."""

    target: str
    text: str
    usd: float


@dataclass
class RandomFaults:
    """Decides by chance which requests fail."""

    random: random.Random
    probability: float

    def choose(self, faults: Sequence[Fault]) -> Fault | None:
        """Return one of `faults`, or `None` for a correct response."""
        return self.random.choice(faults) if self.random.random() < self.probability else None


@dataclass
class StandInProvider:
    """An ASGI application that sells speech and charges every request that it has begun, even if the client is gone."""

    speak: Callable[[str], bytes]
    """Returns the audio of a text; the same audio for the same text."""
    clock: Clock = field(default_factory=RealClock)
    latency_s: float = 0.1
    """Seconds from a submit to its charge, and again from the charge to the response."""
    job_s: float = 0.4
    """Duration of a job in seconds."""
    faults: RandomFaults | None = None
    step: Callable[[str], None] = lambda _: None
    """Called with a description of each step; may raise, which ends the connection."""
    charges: list[Charge] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Method and path of every request."""
    _jobs: list[tuple[str, str, float]] = field(default_factory=list)
    """Target, text and start of each job."""
    _by_key: dict[bytes, asyncio.Task[str]] = field(default_factory=dict)
    """The charged requests by their idempotency key."""
    _performing: set[asyncio.Task[str]] = field(default_factory=set)

    @property
    def charged_usd(self) -> float:
        """The sum of all charges, in dollars."""
        return sum(charge.usd for charge in self.charges)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond to one request."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        self.requests.append(f"{method} {path}")
        body = await _read_body(receive)
        response = _Response(send)
        if method == "POST" and path in _TARGET_OF_PATH:
            await self._submit(_TARGET_OF_PATH[path], body, response, scope)
        elif path.startswith(("/jobs/", "/batches/")):
            await self._poll(path, response, scope)
        elif path.startswith("/audio/"):
            await self._download(path, response)
        else:
            await response.send(404, b"")

    async def settled(self) -> None:
        """Wait until every request that was begun has been performed."""
        while self._performing:
            await asyncio.gather(*self._performing, return_exceptions=True)

    async def _submit(self, target: str, body: bytes, response: _Response, scope: Any) -> None:
        text = _read_text(target, body)
        if text is None or not _has_key(scope):
            await response.send_json(400 if text is None else 401, {"error": "rejected"})
            return
        fault = self.faults.choose(SUBMIT_FAULTS) if self.faults else None
        self.step("submit received")
        if fault in ("busy", "rate limited"):
            await response.send(503 if fault == "busy" else 429, b"later")
            return
        performing = self._begin(target, text, fault, scope)
        job = await asyncio.shield(performing)
        self.step("submit charged")
        if fault is not None and fault.startswith("connection lost"):
            await response.break_off()
        elif fault is not None:
            await response.send(500, b"internal")
        elif target == "sync":
            charged = str(CHARGED_USD["sync"]).encode()
            await response.send(200, self.speak(text), "audio/wav", [(b"x-charged", charged)])
        elif target == "idempotent":
            await response.send(200, self.speak(text), "audio/wav")
        elif target == "streamed":
            await self._stream(text, response)
        else:
            await response.send_json(202, self._status(job, scope))

    def _begin(self, target: str, text: str, fault: Fault | None, scope: Any) -> asyncio.Task[str]:
        """Perform a submit, unless one with the same idempotency key was charged before."""
        key = dict(scope["headers"]).get(b"idempotency-key", b"") if target == "idempotent" else b""
        performing = self._by_key.get(key)
        if performing is None:
            # Performed to its end even if the client is gone: a service charges for what it has begun.
            performing = asyncio.ensure_future(self._perform(target, text, fault))
            self._performing.add(performing)
            performing.add_done_callback(self._performing.discard)
        if key and fault not in UNCHARGED_FAULTS:
            self._by_key[key] = performing
        return performing

    async def _perform(self, target: str, text: str, fault: Fault | None) -> str:
        await self.clock.sleep(self.latency_s)
        if fault not in UNCHARGED_FAULTS:
            self.charges.append(Charge(target, text, CHARGED_USD[target]))
        self._jobs.append((target, text, self.clock.monotonic()))
        job = str(len(self._jobs) - 1)
        await self.clock.sleep(self.latency_s)
        return job

    async def _stream(self, text: str, response: _Response) -> None:
        audio = self.speak(text)
        size = -(-len(audio) // CHUNKS)
        await response.start(200, "text/event-stream")
        for start in range(0, len(audio), size):
            data = json.dumps({"audio": base64.b64encode(audio[start : start + size]).decode()})
            await response.write(f"event: audio\ndata: {data}\n\n".encode())
            self.step("chunk streamed")
            await self.clock.sleep(self.latency_s / CHUNKS)
        await response.write(b"event: done\ndata: {}\n\n", is_last=True)

    async def _poll(self, path: str, response: _Response, scope: Any) -> None:
        fault = self.faults.choose(POLL_FAULTS) if self.faults else None
        self.step("poll received")
        job = path.rpartition("/")[2]
        if not job.isdigit() or int(job) >= len(self._jobs):
            await response.send(404, b"unknown")
        elif fault == "server error":
            await response.send(500, b"internal")
        elif fault == "connection lost":
            await response.break_off()
        elif fault == "unreadable":
            await response.send(200, b"<html>please wait</html>", "text/html")
        else:
            await response.send_json(200, self._status(job, scope))

    def _status(self, job: str, scope: Any) -> dict[str, Any]:
        target, _, started_s = self._jobs[int(job)]
        elapsed_s = self.clock.monotonic() - started_s
        state = "queued" if elapsed_s < self.job_s / 3 else "working" if elapsed_s < self.job_s else "done"
        status: dict[str, Any] = {"id": job, "state": state}
        if state == "done":
            host = dict(scope["headers"])[b"host"].decode()
            audio = f"{scope['scheme']}://{host}/audio/{job}"
            if target == "batch":
                status["items"] = [{"id": job, "state": state, "audio": audio}]
            else:
                status |= {"audio": audio, "cost": CHARGED_USD[target]}
        return status

    async def _download(self, path: str, response: _Response) -> None:
        fault = self.faults.choose(DOWNLOAD_FAULTS) if self.faults else None
        self.step("download received")
        if fault == "connection lost":
            await response.break_off()
        elif fault is not None:
            await response.send(500, b"internal")
        else:
            _, text, _ = self._jobs[int(path.rpartition("/")[2])]
            await response.send(200, self.speak(text), "audio/wav")


class _Response:
    """Sends one response over ASGI."""

    def __init__(self, send: Any) -> None:
        self._send = send

    async def send(
        self, status: int, body: bytes, media_type: str = "text/plain", headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Send a complete response."""
        await self.start(status, media_type, [(b"content-length", str(len(body)).encode()), *headers])
        await self.write(body, is_last=True)

    async def send_json(self, status: int, data: Any) -> None:
        """Send a complete JSON response."""
        await self.send(status, json.dumps(data).encode(), "application/json")

    async def start(self, status: int, media_type: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Send status and headers."""
        all_headers = [(b"content-type", media_type.encode()), *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})

    async def write(self, chunk: bytes, *, is_last: bool = False) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": not is_last})

    async def break_off(self) -> None:
        """Leave the response incomplete, upon which the server closes the connection."""
        await self.start(200, "application/json", [(b"content-length", b"100")])


def _has_key(scope: Any) -> bool:
    key = dict(scope["headers"]).get(b"authorization", b"").removeprefix(b"Bearer ")
    return key not in (b"", INVALID_API_KEY.encode())


def _read_text(target: str, body: bytes) -> str | None:
    """Return the text of a submit; `None` if the submit is not valid."""
    try:
        data = json.loads(body)
        text = data["texts"][0]["text"] if target == "batch" else data["text"]
    except (ValueError, LookupError, TypeError):
        return None
    return text if isinstance(text, str) and text else None


async def _read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
