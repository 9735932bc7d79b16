"""Replay: which response a request gets, in which order, and the report of unmatched requests."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence

import msgspec
import pytest

from voicegauge.client.client import Client
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import DataError
from voicegauge.model.base import Provenance, SpeechRequest
from voicegauge.model.exchange import Exchange, Request, Response, UploadedFile
from voicegauge.recording.masking import INVALID_API_KEY
from voicegauge.recording.recorded_exchanges import Recording, group_exchanges_by_conversation
from voicegauge.recording.replay import ComparableRequest, Replay
from voicegauge.recording.replay_server import ReplayApp
from voicegauge.transport.body_encoding import encode_body
from voicegauge.transport.http import Transport
from voicegauge.transport.timing import VirtualClock

CATALOGUE = load_catalogue()
PIXAZO = CATALOGUE.find_provider("pixazo")
TTSAI = CATALOGUE.find_provider("ttsai")
SUBMIT = "https://gateway.pixazo.ai/voice-clone/v1/xtts-v2/generate"
STATUS = "https://gateway.pixazo.ai/v2/requests/status/"
AUDIO = "https://cdn.example/out.wav"
KEY = ("Ocp-Apim-Subscription-Key", "[redacted]")
JSON = ("Content-Type", "application/json")


def made(operation, method, url, answer, *, body=b"", status=200, headers=(KEY,), group="one", provider="pixazo"):
    payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    content_type = "audio/wav" if isinstance(answer, bytes) else "application/json"
    return Exchange(
        provider=provider,
        operation=operation,
        request=Request(method=method, url=url, headers=headers, body=body),
        response=Response(status=status, headers=(("Content-Type", content_type),), body=payload),
        conversation_id=group,
    )


def submit(text="Good morning.", job="job-1", *, group="one", status=202, headers=(KEY, JSON), answer=None):
    body = json.dumps({"text": text, "language": "en"}).encode()
    answer = answer or {"request_id": job, "status": "QUEUED", "polling_url": STATUS + job}
    return made("generateXtts", "POST", SUBMIT, answer, body=body, status=status, headers=headers, group=group)


def poll(state, job="job-1", *, group="one"):
    output = {"media_url": [AUDIO], "media_type": "audio/wav"} if state == "COMPLETED" else None
    answer = {"request_id": job, "status": state, "output": output}
    return made("getRequestStatus", "GET", STATUS + job, answer, group=group)


def recording(*exchanges: Exchange, contract=PIXAZO) -> Recording:
    return Recording(
        provenance=Provenance.RECORDED,
        provider=contract.id,
        contract_version=contract.version,
        contract_sha256="",
        recorded_at="2026-01-01T00:00:00+00:00",
        exchanges=exchanges,
    )


def replay(*exchanges: Exchange) -> Replay:
    return Replay([recording(*exchanges)], [PIXAZO])


def asked(exchange: Exchange, **changes) -> Request:
    return msgspec.structs.replace(exchange.request, **changes)


def states(played: Replay, requests: int, job="job-1") -> list[str]:
    shown = []
    for _ in range(requests):
        exchange = played.replay_next_exchange("pixazo", poll("", job).request)
        assert exchange is not None, played.unmatched_request_descriptions
        shown.append(json.loads(exchange.response.body)["status"])
    return shown


def random_life(rng: random.Random) -> list[str]:
    """The states of up to sixteen polls: each held for a while, asked for again after the end perhaps."""
    counts = [rng.randrange(0, 4), rng.randrange(0, 10), rng.randrange(1, 4)]
    end = rng.choice(["COMPLETED", "COMPLETED", "FAILED", "ERROR"])
    return [state for state, n in zip(("QUEUED", "PROCESSING", end), counts, strict=True) for _ in range(n)]


@pytest.mark.slow
def test_five_hundred_polling_schedules_finish() -> None:
    """From half as many polls as were recorded to five times as many, at any times, to the end."""

    async def ask(life: Sequence[str], count: int, rng: random.Random) -> list[str]:
        clock, shown = VirtualClock(), []
        app = ReplayApp(replay(submit(), *map(poll, life)), clock=clock, pause_factor=rng.choice([0, 0.1, 1, 3]))
        async with Transport(app=app) as transport:
            await transport.send(submit().request, provider_id="pixazo", operation_id="generateXtts")
            for _ in range(count):
                await clock.sleep(rng.expovariate(1))
                got = await transport.send(poll("").request, provider_id="pixazo", operation_id="getRequestStatus")
                shown.append(json.loads(got.response.body)["status"])
        return shown

    order = ["QUEUED", "PROCESSING", "COMPLETED", "FAILED", "ERROR"]
    rng = random.Random(6)
    finished = 0
    for _ in range(500):
        life = random_life(rng)
        count = max(1, round(len(life) * rng.uniform(0.5, 5)))
        shown = asyncio.run(ask(life, count, rng))
        assert shown == sorted(shown, key=order.index)
        assert set(shown) <= set(life)
        finished += shown[-1] == life[-1]
    assert finished == 500


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("QQPPC", "QPC"),  # each state once
        ("QPCCC", "QPC"),
        ("PPPPPPPPPC", "PC"),
        ("C", "C"),
        ("QPC", "PC"),  # half of three polls is two: one state is dropped
        ("PC", "C"),
        ("QPQPQPC", "PPPC"),  # a service that goes back and forth
    ],
)
def test_a_poll_shows_the_next_state_and_the_last_one_stays(recorded, shown) -> None:
    names = {"Q": "QUEUED", "P": "PROCESSING", "C": "COMPLETED"}
    played = replay(*(poll(names[letter]) for letter in recorded))
    assert states(played, len(shown) + 3) == [names[letter] for letter in shown + shown[-1] * 3]


def test_a_replayed_submit_restarts_its_job() -> None:
    played = replay(submit(), *map(poll, ["PROCESSING", "PROCESSING", "COMPLETED"]))
    for _ in range(2):
        assert played.replay_next_exchange("pixazo", submit().request).response.status == 202
        assert states(played, 3) == ["PROCESSING", "COMPLETED", "COMPLETED"]


def test_two_jobs_with_one_id_are_distinguished_by_their_submit() -> None:
    played = replay(submit("one"), poll("COMPLETED"), submit("two", group="two"), poll("FAILED", group="two"))
    for text, state in (("two", "FAILED"), ("one", "COMPLETED"), ("two", "FAILED")):
        assert played.replay_next_exchange("pixazo", submit(text).request) is not None
        assert states(played, 1) == [state]


def test_a_rate_limited_response_and_its_retry_are_replayed_in_order() -> None:
    busy = submit(status=429, answer={"error": "slow down"})
    played = replay(busy, submit())
    assert [played.replay_next_exchange("pixazo", submit().request).response.status for _ in range(4)] == [
        429,
        202,
        202,
        202,
    ]


def test_json_is_compared_by_value() -> None:
    body = b'{ "language":"en",\n "text" : "Good\\u0020morning." }'
    played = replay(submit())
    assert played.replay_next_exchange("pixazo", asked(submit(), body=body)) is not None
    assert not played.unmatched_request_descriptions
    assert (
        played.replay_next_exchange(
            "pixazo", asked(submit(), body=b'{"text": "Good morning.", "language": "en", "n": 1.0}')
        )
        is None
    )
    whole = made("generateXtts", "POST", SUBMIT, {}, body=b'{"speed": 1}', headers=(KEY, JSON))
    played = replay(whole)
    assert played.replay_next_exchange("pixazo", asked(whole, body=b'{"speed": 1.0}')) is not None
    assert played.replay_next_exchange("pixazo", asked(whole, body=b'{"speed": true}')) is None


def test_a_key_may_be_any_but_must_be_there() -> None:
    none = submit(headers=(JSON,), status=401, answer={"error": "no key"}, group="no key")
    bad = submit(headers=((KEY[0], INVALID_API_KEY), JSON), status=401, answer={"error": "bad key"}, group="bad key")
    played = replay(none, bad, submit())
    for key, status, said in ((None, 401, "no key"), (INVALID_API_KEY, 401, "bad key"), ("my-own", 202, None)):
        headers = (JSON,) if key is None else (JSON, (KEY[0].lower(), key))
        answer = played.replay_next_exchange("pixazo", asked(submit(), headers=headers)).response
        assert (answer.status, json.loads(answer.body).get("error")) == (status, said)
    assert played.unused_request_names == []


def form(**fields) -> Exchange:
    content_type, body = encode_body("multipart/form-data", fields)
    headers = (("Authorization", "Bearer [redacted]"), ("Content-Type", content_type))
    url = "https://api.tts.ai/v1/tts/clone/"
    path = next(o.path for o in TTSAI.operations.values() if o.id == "cloneVoice")
    url = f"https://api.tts.ai{path}"
    return made("cloneVoice", "POST", url, {"uuid": "u"}, body=body, headers=headers, provider="ttsai")


def test_multipart_is_compared_by_field_file_name_and_hash_not_by_boundary_or_order() -> None:
    voice = UploadedFile(filename="me.wav", media_type="audio/wav", data=b"RIFF\xff\x00" * 9)
    recorded = form(text="hi", file=voice)
    played = Replay([recording(recorded, contract=TTSAI)], [TTSAI])
    other_boundary = recorded.request.body.replace(b"voicegauge-", b"elsewhere-")
    other_type = recorded.request.find_header("content-type").replace("voicegauge-", "elsewhere-")
    headers = (("Authorization", "Bearer x"), ("content-type", other_type))
    assert played.replay_next_exchange(
        "ttsai", Request(method="POST", url=recorded.request.url, headers=headers, body=other_boundary)
    )
    assert played.replay_next_exchange("ttsai", form(file=voice, text="hi").request)
    for change in ({"filename": "you.wav"}, {"data": b"RIFF"}):
        assert (
            played.replay_next_exchange("ttsai", form(text="hi", file=msgspec.structs.replace(voice, **change)).request)
            is None
        )
        assert "file file: recorded me.wav, SHA-256" in played.unmatched_request_descriptions[-1]


def test_an_unmatched_request_is_reported_with_the_nearest_recorded_one() -> None:
    played = replay(submit(), submit("Another text entirely.", group="two"), *map(poll, ["PROCESSING", "COMPLETED"]))
    body = b'{"text": "Good morning!", "language": "en", "speed": 2}'
    assert played.replay_next_exchange("pixazo", asked(submit(), body=body)) is None
    (message,) = played.unmatched_request_descriptions
    assert message == (
        "no recorded request of pixazo matches generateXtts: POST /voice-clone/v1/xtts-v2/generate\n"
        "  the nearest recorded one is pixazo generateXtts (one), which differs in:\n"
        '  body /text: recorded "Good morning.", sent "Good morning!"\n'
        "  body /speed: not recorded, sent 2"
    )
    assert len(played.unused_request_names) == 3


def test_a_key_in_an_unmatched_request_is_not_shown() -> None:
    key = "sk-live-0123456789abcdef"
    body = json.dumps({"text": f"say {key}", "api_key": "abcdefgh"}).encode()
    played = replay(submit())
    headers = ((KEY[0], key), JSON)
    url = f"{SUBMIT}?token={key}"
    assert played.replay_next_exchange("pixazo", Request(method="POST", url=url, headers=headers, body=body)) is None
    assert "api_key" in played.unmatched_request_descriptions[0]
    assert key not in played.unmatched_request_descriptions[0]
    assert "abcdefgh" not in played.unmatched_request_descriptions[0]


def test_what_was_masked_matches_anything_of_its_kind() -> None:
    signed = f"{AUDIO}?Expires=1&Signature=[redacted]"
    played = replay(made("(download)", "GET", signed, b"RIFF", headers=()))
    get = Request(method="GET", url=f"{AUDIO}?Expires=1&Signature=anything%2F")
    assert played.replay_next_exchange("pixazo", get).response.body == b"RIFF"
    assert played.replay_next_exchange("pixazo", Request(method="GET", url=f"{AUDIO}?Expires=2&Signature=x")) is None


def test_a_recording_without_its_contract_or_without_exchanges_is_rejected() -> None:
    with pytest.raises(DataError, match="'pixazo', which has no contract; known: ttsai"):
        Replay([recording(submit())], [TTSAI])
    with pytest.raises(DataError, match="nothing to replay"):
        Replay([recording()], [PIXAZO])


async def test_a_client_is_replayed_in_process_at_the_contracts_urls() -> None:
    target = PIXAZO.find_target_by_name("xtts-v2")
    played = replay(
        *(poll(state) for state in ("QUEUED", "PROCESSING", "COMPLETED", "COMPLETED")),
        made("(download)", "GET", AUDIO, b"RIFF....", headers=()),
    )
    async with Transport(app=ReplayApp(played)) as transport:
        client = Client(PIXAZO, transport, key="any", clock=VirtualClock())
        delivery = await client.resume_job(target, "job-1")
        assert delivery.audio == b"RIFF....", delivery.failure
        spoken = await client.speak(target, SpeechRequest(text="never recorded"))
    assert spoken.failure.http_status == 501
    assert "nearest" in played.unmatched_request_descriptions[0]


def test_a_request_is_compared_with_few_recorded_ones_however_many_there_are(monkeypatch):
    exchanges = [submit(f"Text {number}.", f"job-number-{number}", group=None) for number in range(200)]
    masked = [submit(f"[redacted] {number}", f"job-masked-{number}", group=None) for number in range(5)]
    replayed = replay(*exchanges, *masked)
    compared = []
    matches = ComparableRequest.matches

    def count(self, recorded):
        compared.append(recorded)
        return matches(self, recorded)

    monkeypatch.setattr(ComparableRequest, "matches", count)
    assert replayed.replay_next_exchange("pixazo", asked(exchanges[150])) == exchanges[150]
    assert replayed.replay_next_exchange("pixazo", asked(submit("anything 3"))) == masked[3]
    assert len(compared) <= 2 * (1 + len(masked))


def test_exchanges_are_grouped_by_ids_and_urls_wherever_they_are_in_a_response():
    first = submit(job="job-first-1", group=None)
    sentence = submit(group=None, answer={"message": "see job-second-2, please", "request_id": 1234567})
    download = made("(download)", "GET", AUDIO + "?signature=x", b"RIFF", group=None)
    done = poll("COMPLETED", "job-second-2", group=None)
    numbered = poll("QUEUED", "1234567", group=None)
    other = poll("QUEUED", "job-unknown", group=None)
    groups = group_exchanges_by_conversation(PIXAZO, [first, sentence, done, numbered, download, other])
    assert groups == [[first], [sentence, done, numbered, download], [other]]
