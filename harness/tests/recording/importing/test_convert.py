from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner, Result

from voicegauge.cli import cli
from voicegauge.contract.loading import load_catalogue
from voicegauge.errors import DataError, UnknownNameError, UsageError
from voicegauge.recording.foreign_recordings import import_recording
from voicegauge.recording.har_files import load_har
from voicegauge.recording.secret_search import find_secret_spelling

from .foreign import AUDIO, FORMATS, KEY, conversation


def _convert(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["convert", *map(str, arguments)], catch_exceptions=True)


def _write(folder: Path, name: str, key: str = KEY) -> Path:
    foreign = FORMATS[name]
    items = [i for i in conversation(key) if foreign.binary or i.response_body != AUDIO]
    file = folder / f"{name}{Path(foreign.filename).suffix}"
    file.write_text(foreign.write(items), "utf-8")
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_becomes_a_recording_without_its_key(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = _convert(_write(tmp_path, name), "--provider", "pixelapi", "--out", out, "--json", tmp_path / "said.json")
    assert done.exit_code == 0, done.output
    recording = load_har(out / f"{name}.har")
    assert recording.provenance == "recorded"
    assert len(recording.exchanges) >= 3
    assert all(KEY.encode() not in file.read_bytes() for file in out.iterdir())
    (said,) = json.loads((tmp_path / "said.json").read_text())["converted_files"]
    assert said["redaction_counts"]["request header authorization"] >= 3
    assert KEY not in done.output


@pytest.mark.parametrize("name", ["vcrpy_1_yaml", "har_chrome", "ruby_binary", "tapes"])
def test_a_recording_becomes_a_cassette_that_reads_back_the_same(name: str, tmp_path: Path) -> None:
    assert _convert(_write(tmp_path, name), "--provider", "pixelapi", "--out", tmp_path / "har").exit_code == 0
    har = tmp_path / "har" / f"{name}.har"
    done = _convert(har, "--to", "vcr", "--out", tmp_path / "vcr")
    assert done.exit_code == 0, done.output
    cassette = tmp_path / "vcr" / f"{name}.yaml"
    data = yaml.safe_load(cassette.read_text())
    assert data["version"] == 1
    assert data["interactions"][3]["response"]["body"]["string"] == AUDIO
    assert data["interactions"][0]["request"]["headers"]["Authorization"] == ["Bearer [redacted]"]
    again = import_recording(cassette, load_catalogue().find_provider("pixelapi"))
    before = load_har(har).exchanges
    assert [e.response.body for e in again.exchanges] == [e.response.body for e in before]
    assert [e.request for e in again.exchanges] == [e.request for e in before]
    assert [e.operation for e in again.exchanges] == [e.operation for e in before]


def test_a_folder_is_converted_and_what_is_left_out_is_summarised(tmp_path: Path) -> None:
    folder = tmp_path / "cassettes"
    (folder / "tts").mkdir(parents=True)
    _write(folder / "tts", "vcrpy_1_yaml")
    _write(folder, "har_chrome")
    entry = {
        "request": {"method": "GET", "url": "https://status.other.test/jobs/12345?key=a"},
        "response": {"status": 200, "content": {"text": "a"}},
    }
    log = {"version": "1.2", "creator": {"name": "WebInspector", "version": "1"}, "entries": [entry, entry]}
    (folder / "other.har").write_text(json.dumps({"log": log}))
    (folder / "settings.json").write_text("{}")
    out, said = tmp_path / "out", tmp_path / "said.json"
    done = _convert(folder, "--provider", "pixelapi", "--out", out, "--json", said)
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.glob("*.har")} == {"har_chrome.har", "tts-vcrpy_1_yaml.har"}
    report = json.loads(said.read_text())
    assert {Path(one["path"]).name for one in report["unconverted_files"]} == {"other.har", "settings.json"}
    assert "2 files converted, 2 not: " in done.output
    assert "settings.json: not converted: is not a VCR cassette" in done.output
    assert "left out: status.other.test (2): its host" in done.output
    (group,) = [group for group in report["rejected_requests"] if group["host"] == "status.other.test"]
    assert (
        group["request_count"],
        "other.har: 1 (GET https://status.other.test/jobs/12345)" in group["first_request"],
    ) == (2, True)


def test_requests_to_other_hosts_are_one_line_for_each_reason(tmp_path: Path) -> None:
    file = _write(tmp_path, "har_chrome")
    data = json.loads(file.read_text())
    data["log"]["entries"] += [
        {
            "request": {"method": "GET", "url": f"https://status.other.test/jobs/{number}?key=a"},
            "response": {"status": 200, "content": {"text": "a"}},
        }
        for number in range(5)
    ]
    file.write_text(json.dumps(data))
    said = tmp_path / "said.json"
    done = _convert(file, "--provider", "pixelapi", "--out", tmp_path / "out", "--json", said)
    (line,) = [line for line in done.output.splitlines() if "status.other.test" in line]
    assert "and 4 more: left out: its host 'status.other.test'" in line
    assert ("status.other.test", 5) in [
        (one["host"], one["request_count"]) for one in json.loads(said.read_text())["rejected_requests"]
    ]
    assert "key=a" not in done.output + said.read_text()


def test_a_file_without_content_does_not_stop_the_others(tmp_path: Path) -> None:
    empty, file = tmp_path / "empty.har", _write(tmp_path, "har_chrome")
    empty.write_text('{"log": {"version": "1.2", "entries": []}}')
    done = _convert(empty, file, "--provider", "pixelapi", "--out", tmp_path / "out")
    assert isinstance(done.exception, DataError)
    assert (tmp_path / "out" / "har_chrome.har").exists()
    assert "empty.har: not converted" in done.output


SEED = "Zt4nQ8wLxV0pHs7RbYk2"


def _seeded() -> list[str]:
    """The same key wherever one may stand, in the forms that it may have there."""
    wrapped = base64.b64encode(f"user:{SEED}".encode()).decode()
    texts = (
        f'{{"id": "abcdef", "status": "queued", "credits_used": 1, "note": "key {SEED} seen"}}',
        f'{{"id": "abcdef", "status": "queued", "credits_used": 1, "api_key": "{SEED}"}}',
        f'{{"id": "abcdef", "status": "queued", "credits_used": 1, "url": "https://u:{SEED}@x.example/"}}',
        f'{{"id": "abcdef", "status": "queued", "credits_used": 1, "blob": "{wrapped}"}}',
        f'{{"id": "abcdef", "status": "queued", "credits_used": 1, "next": "https://x.example/?token={quote(SEED)}"}}',
    )
    return list(texts)


@pytest.mark.parametrize("to", ["har", "vcr"])
@pytest.mark.parametrize("name", ["vcrpy_1_yaml", "vcrpy_0_json", "ruby_base64", "har_chrome", "tapes", "betamax"])
def test_seeded_keys_are_never_written(name: str, to: str, tmp_path: Path) -> None:
    needles = (SEED.encode(), base64.b64encode(f"user:{SEED}".encode()), base64.b64encode(SEED.encode()))
    for number, body in enumerate(_seeded()):
        first = conversation(SEED)[0]
        places = [
            first._replace(response_body=body.encode()),
            first._replace(response_headers=(*first.response_headers, ("X-Debug", SEED))),
            first._replace(request_headers=(*first.request_headers, ("Cookie", f"session={SEED}; a=b"))),
            first._replace(request_body=f"text=Hi&voice_description={SEED}".encode()),
            first._replace(url=f"{first.url}?access_token={SEED}"),
            first._replace(response_headers=(*first.response_headers, ("Location", f"https://x.example/?sig={SEED}"))),
        ]
        file = tmp_path / f"{number}{Path(FORMATS[name].filename).suffix}"
        file.write_text(FORMATS[name].write(places))
        out = tmp_path / f"out-{number}"
        done = _convert(file, "--provider", "pixelapi", "--to", to, "--out", out)
        assert done.exit_code == 0 or isinstance(done.exception, DataError), done.output
        written = list(out.iterdir()) if out.exists() else []
        assert bool(written) == (done.exit_code == 0)
        for path in written:
            assert not any(needle in path.read_bytes() for needle in needles), path
        assert SEED not in done.output
        assert SEED not in str(done.exception)


@pytest.mark.parametrize("placeholder", ["REDACTED", "[REDACTED]", "<redacted>", "***"])
def test_a_placeholder_of_another_tool_is_masked_as_a_key_is(placeholder: str, tmp_path: Path) -> None:
    file = _write(tmp_path, "har_chrome", placeholder)
    done = _convert(file, "--provider", "pixelapi", "--out", tmp_path / "out", "--json", tmp_path / "said.json")
    assert done.exit_code == 0, done.exception
    (said,) = json.loads((tmp_path / "said.json").read_text())["converted_files"]
    assert said["redaction_counts"]["request header authorization"] >= 3


def test_emulated_traffic_stays_emulated(tmp_path: Path) -> None:
    items = [
        i._replace(response_headers=(*i.response_headers, ("Server", "voicegauge-emulator"))) for i in conversation()
    ]
    (tmp_path / "c.yaml").write_text(FORMATS["vcrpy_1_yaml"].write(items))
    assert _convert(tmp_path / "c.yaml", "--provider", "pixelapi", "--out", tmp_path / "o").exit_code == 0
    assert load_har(tmp_path / "o" / "c.har").provenance == "emulated"


def test_urls_of_a_stand_in_are_rewritten_to_the_contract(tmp_path: Path) -> None:
    items = [i._replace(url=i.url.replace("https://api.pixelapi.dev", "http://localhost:9/p")) for i in conversation()]
    (tmp_path / "c.yaml").write_text(FORMATS["vcrpy_1_yaml"].write(items))
    base = ("--base-url", "http://localhost:9/p")
    assert _convert(tmp_path / "c.yaml", "--provider", "pixelapi", *base, "--out", tmp_path / "o").exit_code == 0
    exchange = load_har(tmp_path / "o" / "c.har").exchanges[0]
    assert exchange.request.url == "https://api.pixelapi.dev/v1/tts/generate"


def test_refusals(tmp_path: Path) -> None:
    file = _write(tmp_path, "vcrpy_1_yaml")
    assert "--provider" in str(_convert(file).exception)
    elsewhere = _convert(file, "--provider", "pixelapi", "--base-url", "x=http://h", "--out", tmp_path / "o").exception
    assert isinstance(elsewhere, UsageError)
    assert "unknown pixelapi server 'x'" in str(elsewhere)
    nothing = _convert(file, "--provider", "pixazo", "--out", tmp_path / "o").exception
    assert isinstance(nothing, DataError)
    assert "nothing in it can be imported" in str(nothing)
    assert _convert(file, "--provider", "pixelapi", "--out", tmp_path / "o").exit_code == 0
    again = _convert(file, "--provider", "pixelapi", "--out", tmp_path / "o").exception
    assert isinstance(again, UsageError)
    assert "exists already" in str(again)
    recording = tmp_path / "o" / "vcrpy_1_yaml.har"
    assert "--to vcr" in str(_convert(recording, "--out", tmp_path / "p").exception)
    for paths in ([file], [recording], [file, recording]):
        unknown = _convert(*paths, "--to", "vcr", "--provider", "pixelapy", "--out", tmp_path / "q").exception
        assert isinstance(unknown, UnknownNameError)
        assert "did you mean pixelapi?" in str(unknown)


def test_a_file_without_times_gets_a_remark_on_its_age(tmp_path: Path) -> None:
    done = _convert(_write(tmp_path, "vcrpy_1_yaml"), "--provider", "pixelapi", "--out", tmp_path / "o")
    assert "its modification time is used" in done.output


def _encode_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("spell", [str, lambda key: key.encode().hex(), _encode_base64])
@pytest.mark.parametrize("place", ["response header", "path", "host", "path of a file in a folder"])
def test_no_message_quotes_a_key_that_the_recording_has(
    spell: Callable[[str], str], place: str, tmp_path: Path
) -> None:
    """Whatever the name is in which the service, or the client, repeats it: nothing is written, and nothing printed."""
    key = "Zq7Lr2Wx9Tp4Vn8Hs3Kd6Mb"
    written, host, path = spell(key), "api.openai.com", "/v1/audio/speech"
    headers = [{"name": "Content-Type", "value": "application/json"}]
    if place == "response header":
        headers.append({"name": f"X-Other-{written}", "value": "1"})
    elif place == "host":
        host = f"{written}.evil.test"
    else:
        path = f"/v1/{written}"
    entry = {
        "request": {
            "method": "POST",
            "url": f"https://{host}{path}",
            "headers": [{"name": "Authorization", "value": f"Bearer {key}"}, *headers[:1]],
            "postData": {"mimeType": "application/json", "text": '{"input": "Hello."}'},
        },
        "response": {"status": 400, "headers": headers, "content": {"mimeType": "application/json", "text": "{}"}},
    }
    folder = tmp_path / "in"
    folder.mkdir()
    log = {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": [entry]}
    (folder / "a.har").write_text(json.dumps({"log": log}))
    if place.endswith("folder"):
        (folder / "b.har").write_text(json.dumps({"log": log}))
    given = folder if place.endswith("folder") else folder / "a.har"
    said = tmp_path / "said.json"
    done = _convert(given, "--provider", "openai", "--out", tmp_path / "out", "--json", said)
    shown = f"{done.output}{done.exception}{said.read_text() if said.is_file() else ''}"
    assert done.exit_code != 0 or place.endswith("folder")
    assert "[redacted]" in shown
    assert find_secret_spelling(shown.encode(), [key]) is None
