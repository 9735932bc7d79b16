from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from pathlib import Path
from urllib.parse import quote

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import DataError, UsageError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, Request, Response, Timing, UploadedFile
from voicegauge.recording.har_files import load_har, save_har
from voicegauge.recording.masking import MASK
from voicegauge.recording.recorded_exchanges import collect_exchanges_by_conversation_id
from voicegauge.recording.redaction import RedactionSettings
from voicegauge.transport.body_encoding import encode_body

KEY = "pk/live+0123456789"
WAV = b"RIFF\xff\xfe\x00\x01" * 50
CONTRACT = load_catalogue().find_provider("pixazo")
AUDIO = (("Content-Type", "audio/wav"),)
TIMING = Timing(
    started_at=1_700_000_000.123,
    started_ms=12.5,
    connection_wait_ms=0.1,
    connect_ms=1.5,
    tls_ms=2.5,
    send_ms=0.2,
    ttfb_ms=30.25,
    receive_ms=4,
    total_ms=39,
    chunk_arrivals=((35.5, 100), (39.0, 300)),
)


def exchange(*, url="https://gateway.pixazo.ai/v1/a", request=b"", answer=b"{}", headers=(), asked=(), timing=None):
    return Exchange(
        provider="pixazo",
        operation="getRequestStatus",
        request=Request(method="POST", url=url, headers=asked, body=request),
        response=Response(status=200, headers=(("Content-Type", "audio/wav"), *headers), body=answer),
        timing=timing,
    )


def save(path: Path, *exchanges: Exchange, recorded_at=None, **redaction):
    return save_har(
        path,
        exchanges,
        provenance=Provenance.RECORDED,
        contract=CONTRACT,
        redaction=RedactionSettings(**redaction),
        recorded_at=recorded_at,
    )


def test_saved_exchanges_are_loaded_unchanged(tmp_path):
    path = tmp_path / "a.har"
    when = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    one = exchange(answer=WAV, request=b'{"text": "hi"}', asked=(("Content-Type", "application/json"),), timing=TIMING)
    saved = save(path, one, exchange(), recorded_at=when)
    assert load_har(path) == saved
    assert saved.exchanges == (one, exchange())
    assert (saved.provenance, saved.provider, saved.recorded_at) == ("recorded", "pixazo", "2026-01-02T03:04:05+00:00")
    assert (saved.contract_version, saved.contract_sha256) == (CONTRACT.version, CONTRACT.document.sha256)


def test_the_file_is_har_with_audio_next_to_it(tmp_path):
    save(
        tmp_path / "a.har",
        exchange(answer=WAV, timing=TIMING, url="https://gateway.pixazo.ai/a?b=c"),
        names_to_keep=["b"],
    )
    log = json.loads((tmp_path / "a.har").read_text())["log"]
    assert (log["version"], log["creator"]["name"]) == ("1.2", "voicegauge")
    assert log["_voicegauge"]["provenance"] == "recorded"
    entry = log["entries"][0]
    assert entry["startedDateTime"] == "2023-11-14T22:13:20.123000+00:00"
    assert entry["timings"] == {
        "blocked": 0.1, "dns": -1, "connect": 4.0, "ssl": 2.5, "send": 0.2, "wait": 30.25, "receive": 4
    }  # fmt: skip
    assert entry["request"]["queryString"] == [{"name": "b", "value": "c"}]
    assert entry["request"]["httpVersion"] == "HTTP/1.1"
    assert entry["response"]["redirectURL"] == ""
    assert entry["response"]["content"]["_file"] == f"{hashlib.sha256(WAV).hexdigest()}.wav"
    assert (tmp_path / entry["response"]["content"]["_file"]).read_bytes() == WAV


headers = st.lists(
    st.tuples(st.sampled_from(["Content-Type", "Date", "X-Webhook-Mode"]), st.text(max_size=10)), max_size=3
)


@settings(deadline=None)
@given(
    bodies=st.lists(
        st.tuples(st.binary(max_size=50), st.binary(max_size=50) | st.text(max_size=50).map(str.encode)), max_size=3
    ),
    asked=headers,
)
def test_any_body_comes_back(tmp_path_factory, bodies, asked):
    path = tmp_path_factory.mktemp("har") / "a.har"
    exchanges = [exchange(request=body, answer=answer, asked=tuple(asked)) for body, answer in bodies]
    saved = save(path, *exchanges)
    assert load_har(path) == saved
    assert [one.response.body for one in saved.exchanges] == [answer for _, answer in bodies]


def test_only_headers_on_the_allow_list_are_not_masked(tmp_path):
    asked = (
        ("Ocp-Apim-Subscription-Key", KEY),
        ("Authorization", "Bearer abc"),
        ("Cookie", "a=b"),
        ("X-Webhook-Mode", "sync"),
        ("X-Private", "mine"),
        ("Content-Type", "application/json"),
    )
    saved = save(tmp_path / "a.har", exchange(asked=asked, headers=(("Set-Cookie", "a=b"), ("X-Trace", "1"))))
    assert dict(saved.exchanges[0].request.headers) == {
        "Ocp-Apim-Subscription-Key": MASK,
        "Authorization": f"Bearer {MASK}",
        "Cookie": MASK,
        "X-Webhook-Mode": "sync",
        "X-Private": MASK,
        "Content-Type": "application/json",
    }
    assert dict(saved.exchanges[0].response.headers) == {
        "Content-Type": "audio/wav", "Set-Cookie": MASK, "X-Trace": MASK
    }  # fmt: skip


def test_signed_urls_and_echoed_keys_are_masked(tmp_path):
    url = "https://cdn.test/a.wav?Expires=1&Signature=abc&Key-Pair-Id=K1"
    answer = json.dumps({"media_url": [url], "message": f"bad key {KEY}"}).encode()
    kept = ["media_url", "message", "Expires"]
    saved = save(tmp_path / "a.har", exchange(answer=answer), exchange(url=url), secrets=[KEY], names_to_keep=kept)
    masked = f"https://cdn.test/a.wav?Expires=1&Signature={MASK}&Key-Pair-Id={MASK}"
    assert json.loads(saved.exchanges[0].response.body) == {"media_url": [masked], "message": f"bad key {MASK}"}
    assert saved.exchanges[1].request.url == masked


@pytest.mark.parametrize(
    "hidden",
    [
        b"\xff" + base64.b64encode(b"xy" + KEY.encode()),
        b"\xff" + KEY.encode(),
        b"\xff" + quote(KEY, safe="").encode(),
    ],
)
@pytest.mark.parametrize("place", ["request", "answer"])
def test_a_secret_that_masking_cannot_reach_stops_the_write(tmp_path, hidden, place):
    with pytest.raises(DataError, match=r"exchange 2 \(getRequestStatus\), re.* body holds a key") as caught:
        save(tmp_path / "a.har", exchange(), exchange(asked=AUDIO, **{place: hidden}), secrets=[KEY])
    assert KEY not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_encoded_secret_in_an_id_or_a_header_is_masked(tmp_path):
    encoded = base64.urlsafe_b64encode(KEY.encode()).decode()
    shown = exchange(url=f"https://gateway.pixazo.ai/{encoded}", headers=(("Location", f"/x/{encoded}"),))
    (saved,) = save(tmp_path / "a.har", shown, secrets=[KEY]).exchanges
    assert saved.request.url.startswith(f"https://gateway.pixazo.ai/{MASK}")
    assert (saved.response.find_header("location") or "").startswith(f"/x/{MASK}")


def test_a_secret_as_a_name_stops_the_write(tmp_path):
    odd = msgspec.structs.replace(exchange(), operation=KEY)
    with pytest.raises(DataError, match="the file"):
        save(tmp_path / "a.har", odd, secrets=[KEY])
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_path_is_reported_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        save(tmp_path / "file" / "a.har", exchange())


def change(path: Path, edit) -> None:
    document = json.loads(path.read_text())
    edit(document["log"])
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda log: log.update(version="1.1"), "has HAR version '1.1'; only 1.2 can be read"),
        (lambda log: log["_voicegauge"].update(schemaVersion=99), "schema version 99, this voicegauge reads version 1"),
        (lambda log: log["_voicegauge"].update(provenance="guessed"), "is not a recording of voicegauge"),
        (lambda log: log.pop("_voicegauge"), "is not a recording of voicegauge"),
        (
            lambda log: log["entries"][0]["response"].update(status="200"),
            r"\$\.log\.entries\[0\]\.response\.status|is no",
        ),
        (lambda log: log["entries"][0]["response"]["content"].update(_file="../../etc/passwd"), "is not a recording"),
        (lambda log: log["entries"][0]["response"]["content"].update(_file="a" * 64 + ".wav/x"), "is not a recording"),
        (lambda log: log["entries"][0]["response"]["content"].update(_file="a" * 64 + ".wav\n"), "is not a recording"),
        (lambda log: log["entries"][0]["response"]["content"].update(_file="a" * 64 + ".wav"), "cannot be read"),
        (lambda log: log["entries"][0]["_timing"].update(more=1), "is not a recording"),
    ],
)
def test_an_invalid_recording_is_reported_in_one_line(tmp_path, edit, words):
    path = tmp_path / "a.har"
    save(path, exchange(answer=WAV, timing=TIMING))
    change(path, edit)
    with pytest.raises(DataError, match=words) as caught:
        load_har(path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"a\.har:1: is not valid JSON: it ends early"),
        (b"\xff\xfe", r"a\.har:1: is not valid JSON"),
        (b"{\n  'log'", r"a\.har:2: is not valid JSON: .*, column 3$"),
        (b"[" * 100_000, "is not a recording of voicegauge|is not valid JSON"),
        (b"{}", "is not a recording of voicegauge: voicegauge convert --provider ID makes one of .* [(]Object missing"),
        (b"null", "is not a recording of voicegauge"),
    ],
    ids=["empty", "binary", "quotes", "deep", "object", "null"],
)
def test_invalid_json_is_reported_in_one_line(tmp_path, content, words):
    path = tmp_path / "a.har"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_har(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_har(tmp_path / "none.har")


def test_changed_audio_is_rejected(tmp_path):
    save(tmp_path / "a.har", exchange(answer=WAV))
    beside = next(tmp_path.glob("*.wav"))
    beside.write_bytes(WAV + b"!")
    with pytest.raises(DataError, match=r"was changed since a\.har was recorded"):
        load_har(tmp_path / "a.har")


HAR_1_2 = json.loads((Path(__file__).parent / "har-1.2.schema.json").read_text())


def _problems(path: Path) -> list[str]:
    found = jsonschema_rs.validator_for(HAR_1_2).iter_errors(json.loads(path.read_text()))
    return [f"{error.instance_path}: {error.message}" for error in found]


def form(**fields) -> tuple[tuple[tuple[str, str], ...], bytes]:
    content_type, body = encode_body("multipart/form-data", fields)
    return (("Content-Type", content_type),), body


VOICE = UploadedFile(filename="me.wav", media_type="audio/wav", data=WAV)


def test_what_is_written_is_valid_har(tmp_path):
    asked, body = form(text="hi", voice=VOICE, note="")
    save(
        tmp_path / "a.har",
        exchange(answer=WAV, timing=TIMING),
        exchange(request=body, asked=asked),
        exchange(request=b"\xff\xfe", asked=(("Content-Type", "audio/wav"),), answer=b""),
        exchange(url="https://gateway.pixazo.ai/v1/a?b=&c=d", headers=(("Location", "https://cdn.test/x"),)),
    )
    assert _problems(tmp_path / "a.har") == []


def test_the_schema_would_tell():
    broken = {"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": [{"time": 1}], "more": 1}}
    errors = [error.message for error in jsonschema_rs.validator_for(HAR_1_2).iter_errors(broken)]
    assert len(errors) >= 6


def test_multipart_is_written_as_its_fields_with_one_file_for_equal_uploads(tmp_path):
    one, two = form(text="hi", voice=VOICE, language="en"), form(text="bye", voice=VOICE)
    exchanges = [exchange(request=body, asked=asked) for asked, body in (one, two)]
    saved = save(tmp_path / "a.har", *exchanges, names_to_keep=["voice"])
    log = json.loads((tmp_path / "a.har").read_text())["log"]
    digest = hashlib.sha256(WAV).hexdigest()
    assert log["entries"][0]["request"]["postData"]["params"] == [
        {"name": "text", "value": "hi"},
        {"name": "voice", "fileName": "me.wav", "contentType": "audio/wav", "_file": f"{digest}.wav"},
        {"name": "language", "value": "en"},
    ]
    assert [path.name for path in tmp_path.glob("*.wav")] == [f"{digest}.wav"]
    assert load_har(tmp_path / "a.har") == saved
    assert [one.request for one in saved.exchanges] == [one.request for one in exchanges]


@pytest.mark.parametrize("odd", [b"", b"X-Odd: 1\r\n"])
def test_multipart_of_other_tools_is_restored_byte_for_byte(tmp_path, odd):
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n' + odd + b"\r\n1\r\n--x--\r\n"
    asked = (("Content-Type", "multipart/form-data; boundary=x"),)
    save(tmp_path / "a.har", exchange(request=body, asked=asked), names_to_keep=["a"])
    assert load_har(tmp_path / "a.har").exchanges[0].request.body == body


def test_groups_and_what_was_masked_come_back(tmp_path):
    grouped = msgspec.structs.replace(exchange(asked=(("Authorization", "Bearer abcdefgh"),)), conversation_id="a job")
    save(tmp_path / "a.har", grouped, exchange())
    loaded = load_har(tmp_path / "a.har")
    assert [one.conversation_id for one in loaded.exchanges] == ["a job", None]
    assert collect_exchanges_by_conversation_id(loaded.exchanges) == {
        "a job": loaded.exchanges[:1],
        None: loaded.exchanges[1:],
    }
    assert loaded.redaction_count_by_location == {"request header authorization": 1}


def test_orphaned_sidecar_files_are_deleted_and_others_stay(tmp_path):
    save(tmp_path / "a.har", exchange(answer=WAV), exchange(answer=WAV + b"2"))
    save(tmp_path / "b.har", exchange(answer=WAV))
    (tmp_path / "mine.wav").write_bytes(b"")
    save(tmp_path / "a.har", exchange(answer=WAV + b"3"))
    assert {path.read_bytes() for path in tmp_path.glob("*.wav")} == {WAV, WAV + b"3", b""}
    assert load_har(tmp_path / "b.har").exchanges[0].response.body == WAV
