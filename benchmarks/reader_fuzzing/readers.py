"""The readers that are fuzzed. Each reads its input as the commands do, and uses what it read."""

from __future__ import annotations

import asyncio
import functools
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from crashes.provider import StandInProvider
from crashes.simulation import SimulatedUser, load_stand_in_contract, plan_benchmark, simulated_speech

import voicegauge
from reader_fuzzing.document import (
    Document,
    cassette_document,
    json_document,
    json_lines_document,
    to_json,
    to_json_lines,
    to_toml,
    to_yaml,
    yaml_document,
)
from voicegauge.api import documents
from voicegauge.bench.run_store import load_run
from voicegauge.bench.suites import load_own_texts, load_suite
from voicegauge.cases.plan import plan_cases
from voicegauge.cli import COMMAND_LOADER_BY_NAME
from voicegauge.cli._settings import collect_command_defaults, load_settings
from voicegauge.conformance.case_journal import CaseJournals
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import Catalogue, load_catalogue, load_contract
from voicegauge.contract.parsed_exchange import EventStreamParser
from voicegauge.errors import VoicegaugeError
from voicegauge.formats.bodies import UnreadableBodyError, read_form, read_json
from voicegauge.model.run import Run
from voicegauge.model.sample import write_parquet
from voicegauge.outputs.finding_exports import load_baseline
from voicegauge.recording.har_files import load_har
from voicegauge.recording.replay import Replay
from voicegauge.report.html_page import render_page
from voicegauge.report.report_data import analyze_runs
from voicegauge.report.result_summaries import render_csv
from voicegauge.report.run_comparison import render_markdown
from voicegauge.speech.audio_measurement import (
    build_playback_timeline,
    compute_rms_dbfs,
    is_silent,
    measure_active_duration_s,
    measure_leading_silence_s,
)
from voicegauge.speech.decoding import DecodedAudio, RawAudioFormat, UndecodableAudioError, decode
from voicegauge.speech.encoding import AUDIO_FORMATS, encode, encode_at_bitrate
from voicegauge.transport.timing import VirtualClock

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).with_name("samples")
RAW_FORMATS = ("pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "mulaw", "alaw")
PROVIDER = "pixelapi"
EXPECTED_ERRORS = (VoicegaugeError, UnreadableBodyError, UndecodableAudioError)
"""Errors that readers document for bad input; the command line prints each of them in one line."""


class Reader(NamedTuple):
    """A reader with valid documents."""

    name: str
    documents: Callable[[], Sequence[Document]]
    read: Callable[[bytes, Path], None]
    """Function that reads one document. It may write to the folder, which is empty and is deleted afterwards."""
    tokens: Sequence[bytes] = ()
    """Bytes that have a meaning in the format."""


YAML_TOKENS = (
    *(b"&a ", b"*a", b"<<: *a\n", b"- ", b"? ", b": ", b"|\n  ", b">-\n", b"!!binary ", b"!!set ", b"!!python/none "),
    *(
        b"!<x> ",
        b"%YAML 9.9\n---\n",
        b"---\n",
        b"...\n",
        b"\n  ",
        b"\n    ",
        b"{a: &a [*a]}",
        b"@",
        b"`",
        b"0o7",
        b"1:30",
    ),
    *(b"&a [x, x, x, x, x, x, x, x, x]\n", b"[*a, *a, *a, *a, *a, *a, *a, *a, *a]"),
)
JSON_TOKENS = (b'{"a": 1, "a": 2}', b'"\\ud83d"', b"\xe2\x80\xa8", b"1E+2", b"[[[[", b'"$ref": "#"', b"\\/", b"1.0")
TOML_TOKENS = (
    b"[[check]]\n",
    b"[check]\n",
    b"[check.severity]\n",
    b'"""',
    b"'''",
    b"a.b.c = 1\n",
    b"inf",
    b"1979-05-27T07:32:00Z",
)
SSE_TOKENS = (
    *(b"data:", b"data: ", b"event: ", b"event: audio\n", b"event: done\n", b"id: 1\n", b"retry: 1\n", b": note\n"),
    *(
        b"\r\n",
        b"\n\n",
        b"\r\r",
        b"data: {}\n\n",
        b"data: [DONE]\n\n",
        b'{"event": "audio", "audio": "AAAA", "index": 0}',
    ),
)
AUDIO_TOKENS = (
    *(
        b"RIFF",
        b"WAVE",
        b"fmt ",
        b"data",
        b"LIST",
        b"fLaC",
        b"OggS",
        b"OpusHead",
        b"OpusTags",
        b"vorbis",
        b"ID3",
        b"TAG",
    ),
    *(
        b"\xff\xfb\x90\x00",
        b"\xff\xf1",
        b"FORM",
        b"AIFC",
        b"COMM",
        b"SSND",
        b"ftyp",
        b"moov",
        b"mdat",
        b"stco",
        b"Xing",
    ),
    *(
        b"\x1a\x45\xdf\xa3",
        b"caff",
        b".snd",
        b"RF64",
        b"ds64",
        b"\x01\x00\x00\x00",
        b"\x40\x1f\x00\x00",
        b"\x00\x00\x00\x01",
    ),
)


@functools.cache
def _catalogue() -> Catalogue:
    return load_catalogue()


def _contract() -> Contract:
    return _catalogue().find_provider(PROVIDER)


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _contract_documents() -> list[Document]:
    files = (
        ROOT / "benchmarks" / "crashes" / "contracts" / "acme" / "openapi.yaml",
        ROOT / "contracts" / PROVIDER / "openapi.yaml",
    )
    return [yaml_document(file) for file in files]


def _read_contract(data: bytes, folder: Path) -> None:
    contract = load_contract(_write(folder, "openapi.json" if data[:1] == b"{" else "openapi.yaml", data))
    for operation in contract.operations.values():
        for response in operation.responses.values():
            for media in response.media_types.values():
                for example in media.examples:
                    list(media.iterate_violations(example.value))
    plan_cases(list(contract.targets.values()), is_emulated=True, include_all_billable_cases=True)


OFFICIAL_DOCUMENT = {
    "openapi": "3.0.3",
    "info": {"title": "Acme", "version": "7"},
    "servers": [{"url": "https://api.acme.test"}],
    "paths": {
        "/speech/{voice}": {
            "parameters": [{"name": "voice", "in": "path", "required": True, "schema": {"type": "string"}}],
            "post": {
                "operationId": "create",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Speech"}}},
                },
                "responses": {
                    "200": {"description": "audio", "content": {"audio/wav": {}}},
                    "400": {"$ref": "#/components/responses/Invalid"},
                },
            },
        },
        "/users": {"post": {"responses": {"200": {"description": "done"}}}},
    },
    "components": {
        "responses": {"Invalid": {"description": "invalid", "content": {"application/json": {"schema": {}}}}},
        "schemas": {
            "Speech": {
                "type": "object",
                "required": ["text"],
                "properties": {
                    "text": {"type": "string", "maxLength": 200},
                    "speed": {"type": "number", "minimum": 0.2, "exclusiveMinimum": True, "maximum": 4},
                    "style": {"type": "string", "enum": ["calm", "glad"], "nullable": True},
                },
            },
        },
    },
}
OVERLAY = {
    "overlay": "1.0.0",
    "info": {"title": "Acme as a contract", "version": "1"},
    "extends": "official.json",
    "actions": [
        {
            "target": "$",
            "update": {
                "x-provider": {
                    "id": "acme",
                    "title": "Acme",
                    "key_variable": "ACME_KEY",
                    "sources": {"openapi.yaml": {"title": "Acme", "date": "2026-01-01"}},
                },
                "security": [{"key": []}],
            },
        },
        {"target": "$.components", "update": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}},
        {"target": "$.paths['/users']", "remove": True},
        {
            "target": "$.paths['/speech/{voice}'].post",
            "update": {
                "x-speech": {
                    "request_fields": {"text": "body#/text", "voice": "path.voice", "speed": "body#/speed"},
                    "response": {"audio": {"location": "body", "delivery_method": "bytes"}},
                    "targets": {
                        "one": {
                            "title": "One",
                            "default_voice": "anna",
                            "pricing": {"unit": "request", "usd_per_unit": 0.01},
                        },
                    },
                },
            },
        },
    ],
}


def _overlay_documents() -> list[Document]:
    return [Document(to_yaml(OVERLAY), OVERLAY, to_yaml)]


def _read_overlay(data: bytes, folder: Path) -> None:
    _write(folder, "official.json", to_json(OFFICIAL_DOCUMENT))
    contract = load_contract(_write(folder, "overlay.yaml", data))
    plan_cases(list(contract.targets.values()), is_emulated=True, include_all_billable_cases=True)


def _official_documents() -> list[Document]:
    return [Document(to_json(OFFICIAL_DOCUMENT), OFFICIAL_DOCUMENT, to_json)]


def _read_official_document(data: bytes, folder: Path) -> None:
    """Read an official document below an overlay."""
    _write(folder, "official.json", data)
    contract = load_contract(_write(folder, "overlay.yaml", to_yaml(OVERLAY)))
    plan_cases(list(contract.targets.values()), is_emulated=True, include_all_billable_cases=True)


def _read_proposed_document(data: bytes, folder: Path) -> None:
    voicegauge.propose_overlay(_write(folder, "official.json", data))


def _read_proposed_recording(data: bytes, folder: Path) -> None:
    path = _write(folder, "foreign.json" if data[:1] in (b"{", b"[") else "foreign.yaml", data)
    documents.propose_contract(path)


RECORDINGS = [
    ROOT / "fixtures" / name
    for name in ("pixelapi/getSpeechStatus.har", "ttsai/downloadResult.har", "ttsai/stt-sensevoice.har")
]


def _har_documents() -> list[Document]:
    return [json_document(path.read_bytes()) for path in RECORDINGS]


@functools.cache
def _body_files() -> dict[str, bytes]:
    """Return the files beside the recordings that contain their bodies, by name."""
    names = [(path, name) for path in RECORDINGS for name in re.findall(r'"_file": *"([^"]+)"', path.read_text())]
    return {name: path.with_name(name).read_bytes() for path, name in names}


def _read_har(data: bytes, folder: Path) -> None:
    for name, body in _body_files().items():
        _write(folder, name, body)
    path = _write(folder, "recording.har", data)
    recording = load_har(path)
    Replay([recording], _catalogue())
    voicegauge.find_drift(recording.provider, path)
    voicegauge.check(recording.provider, recordings=[folder], contracts=_catalogue())


def _foreign_documents(*prefixes: str) -> list[Document]:
    """Return the recordings of other tools whose file names start so."""
    make = {".json": json_document, ".har": json_document, ".yaml": cassette_document, ".yml": cassette_document}
    files = [path for path in sorted(SAMPLES.iterdir()) if path.name.startswith(prefixes)]
    return [make[path.suffix](path.read_bytes()) for path in files]


def _read_foreign(data: bytes, folder: Path) -> None:
    path = _write(folder, "foreign.json" if data[:1] in (b"{", b"[") else "foreign.yaml", data)
    voicegauge.convert(path, provider=PROVIDER, out=folder / "converted", contracts=_catalogue())


def _suite_documents() -> list[Document]:
    return [yaml_document(ROOT / "benchmarks" / "suites" / "smoke.yaml")]


def _read_suite(data: bytes, folder: Path) -> None:
    load_suite(str(_write(folder, "smoke.yaml", data)))


def _own_text_documents() -> list[Document]:
    table = 'id,language,category,text\na,en,plain,"Good, really\ngood."\n,,,Yes\n'
    return [
        json_lines_document(
            b'{"text": "Good morning.", "id": "a"}\n{"text": "Yes", "language": "de", "category": "x"}\n'
        ),
        Document(table.encode()),
        Document("Good morning.\nÇa va ?\n".encode()),
    ]


def _read_own_texts(data: bytes, folder: Path) -> None:
    ending = "jsonl" if data[:1] == b"{" else "csv" if b"," in data else "txt"
    load_own_texts(_write(folder, f"own.{ending}", data))


@functools.cache
def _saved_run() -> tuple[bytes, bytes]:
    """Return the run.json and the journal of a run against a stand-in provider."""
    contract = load_stand_in_contract()
    plan = plan_benchmark(contract, limit=1)
    clock = VirtualClock()
    with tempfile.TemporaryDirectory() as folder:
        provider = StandInProvider(simulated_speech, clock=clock)
        user = SimulatedUser(Path(folder), contract, plan, provider, clock, plan.cost_usd)
        end = asyncio.run(user.run_command())
        assert end is not None, "nothing stops it"
        return (end.folder / "run.json").read_bytes(), (end.folder / "journal.jsonl").read_bytes()


def _read_run(data: bytes, folder: Path) -> None:
    _write(folder, "run.json", data)
    _use_run(folder)
    voicegauge.read_history(folder)


@functools.cache
def _original_run() -> Run:
    return msgspec.json.decode(_saved_run()[0], type=Run)


def _use_run(folder: Path) -> None:
    run = load_run(folder)
    analyzed = analyze_runs([(folder, run)])
    render_markdown(analyzed)
    render_csv([(folder, run)])
    render_page(analyzed)
    write_parquet(run.iterate_sample_rows(), io.BytesIO())
    if run.manifest.run_id != _original_run().manifest.run_id:  # a run is not compared with itself
        voicegauge.compare(_original_run(), run)


def _unfinished_run() -> bytes:
    run, _ = _saved_run()
    structure = json_document(run).structure
    structure["manifest"]["is_finished"] = False
    structure["samples"] = []
    return json_document(run).serialize(structure)


def _read_journal(data: bytes, folder: Path) -> None:
    _write(folder, "run.json", _unfinished_run())
    _write(folder, "journal.jsonl", data)
    _use_run(folder)


def _case_journal_documents() -> list[Document]:
    events = [
        {
            "event": "submit_started",
            "id": "case",
            "submitted_at": "2026-01-01T00:00:00Z",
            "price_usd": 0.1,
            "idempotency_key": "k",
        },
        {
            "event": "submit_completed",
            "id": "case",
            "http_status": 200,
            "billing_status": "accepted",
            "job_id": "job-1",
            "charged_usd": 0.1,
        },
        {"event": "case_finished", "id": "case", "no_verdict_reason": None},
        {"event": "case_repeated", "id": "case"},
    ]
    return [Document(to_json_lines(events), events, to_json_lines)]


def _read_case_journal(data: bytes, folder: Path) -> None:
    contract = _contract()
    journals_folder = folder / "journals"  # empty folders are deleted
    (journals_folder / contract.id).mkdir(parents=True)
    _write(journals_folder / contract.id, "journal.jsonl", data)
    with CaseJournals(journals_folder, [contract]) as journals:
        _ = journals.spent_by_earlier_runs_usd


def _settings_documents() -> list[Document]:
    values = {
        "seed": 7,
        "contracts": ["more"],
        "bench": {"suite": "standard", "repetitions": 3, "json": "out.json"},
        "check": {"severity": {"retry-after-missing": "info"}, "max-calls": 5, "full": True, "select": ["job-lost"]},
    }
    return [Document(to_toml(values), values, to_toml)]


def _read_settings(data: bytes, folder: Path) -> None:
    settings = load_settings(_write(folder, "voicegauge.toml", data))
    for load_command in COMMAND_LOADER_BY_NAME.values():
        collect_command_defaults(load_command(), settings, COMMAND_LOADER_BY_NAME)


def _baseline_documents() -> list[Document]:
    entry = {
        "fingerprint": "0123456789abcdef",
        "rule": "job-lost",
        "provider": PROVIDER,
        "operation": "x",
        "message": "m",
    }
    value = {"schema": "voicegauge/baseline/1", "accepted_findings": [entry]}
    return [Document(json_document(b"0").serialize(value), value, json_document(b"0").serialize)]


def _read_baseline(data: bytes, folder: Path) -> None:
    _ = load_baseline(_write(folder, "baseline.json", data)).fingerprints


def _encoded_audio() -> dict[str, bytes]:
    """Return a quarter of a second of a tone in each format."""
    rate = 16_000
    samples = (0.3 * np.sin(np.arange(rate // 4) * 0.1)).astype(np.float32)
    encoded = {name: encode(samples, rate, name)[0] for name in AUDIO_FORMATS}
    return {**encoded, **{name: encode_at_bitrate(samples, rate, name) for name in ("m4a", "aac", "webm")}}


def _container_documents() -> list[Document]:
    return [Document(data) for name, data in _encoded_audio().items() if name not in RAW_FORMATS]


def _read_container(data: bytes, _folder: Path) -> None:
    _use_audio(data, decode(data))


def _raw_audio_documents() -> list[Document]:
    return [Document(data) for name, data in _encoded_audio().items() if name in RAW_FORMATS]


def _read_raw_audio(data: bytes, _folder: Path) -> None:
    for name in RAW_FORMATS:
        declared_format = RawAudioFormat(format=name, sample_rate_hz=16_000, channels=1 + len(data) % 2)
        _use_audio(data, decode(data, declared_format=declared_format))


def _use_audio(data: bytes, decoded: DecodedAudio) -> None:
    build_playback_timeline(data, decoded)
    samples, rate = decoded.samples, decoded.sample_rate_hz
    assert np.isfinite(samples).all()
    for measured in (
        compute_rms_dbfs(samples),
        measure_leading_silence_s(samples, rate),
        measure_active_duration_s(samples, rate),
    ):
        assert not np.isnan(measured)
    is_silent(samples, rate)


def _stream_documents() -> list[Document]:
    events = (b'{"event": "start"}', b'{"event": "audio", "audio": "AAAAAAAA", "index": 0}', b'{"event": "done"}')
    named = b"".join(b"event: message\nid: 1\ndata: " + event + b"\r\n\r\n" for event in events)
    plain = b"\xef\xbb\xbf" + b"".join(b"data:" + event.replace(b", ", b",\ndata: ") + b"\n\n" for event in events)
    return [Document(named), Document(plain), Document(named + b"data: [DONE]\n\n")]


def _read_stream(data: bytes, _folder: Path) -> None:
    specs = [one.stream for one in _catalogue().find_provider("ttsai").operations.values() if one.stream is not None]
    for spec in specs:
        for size in (1, 7, len(data) or 1):
            parser = EventStreamParser(spec)
            for start in range(0, len(data), size):
                parser.feed_chunk(data[start : start + size])
            assert parser.is_complete in (True, False)
            list(parser.iterate_audio_events())


def _body_documents() -> list[Document]:
    header = b'Content-Disposition: form-data; name="a"; filename="b"\r\nContent-Type: audio/wav'
    part = b"--x\r\n" + header + b"\r\n\r\nRIFF\r\n--x--\r\n"
    return [
        json_document(b'{"id": "1", "items": [1.5, null, true, {"x": "\\u00e9"}]}'),
        Document(b"a=1&b=%C3%A9"),
        Document(part),
    ]


def _read_body(data: bytes, _folder: Path) -> None:
    unreadable = 0
    form_types = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    readers = [functools.partial(read_json, data), *(functools.partial(read_form, name, data) for name in form_types)]
    for read in readers:
        try:
            read()
        except UnreadableBodyError:
            unreadable += 1
    if unreadable == len(readers):
        raise UnreadableBodyError("is not readable")


READERS = (
    Reader("contract", _contract_documents, _read_contract, YAML_TOKENS),
    Reader("overlay", _overlay_documents, _read_overlay, YAML_TOKENS),
    Reader("official-document", _official_documents, _read_official_document, JSON_TOKENS),
    Reader("recording", _har_documents, _read_har, JSON_TOKENS),
    Reader("proposed-document", _official_documents, _read_proposed_document, JSON_TOKENS),
    Reader(
        "proposed-recording",
        functools.partial(_foreign_documents, "har", "vcrpy", "ruby"),
        _read_proposed_recording,
        JSON_TOKENS,
    ),
    Reader("foreign-har", functools.partial(_foreign_documents, "har"), _read_foreign, JSON_TOKENS),
    Reader("vcr", functools.partial(_foreign_documents, "vcr", "ruby"), _read_foreign, (*YAML_TOKENS, *JSON_TOKENS)),
    Reader("tape", functools.partial(_foreign_documents, "tape", "betamax"), _read_foreign, JSON_TOKENS),
    Reader("suite", _suite_documents, _read_suite, YAML_TOKENS),
    Reader("own-texts", _own_text_documents, _read_own_texts, (*JSON_TOKENS, b",", b";", b"\t", b'"', b"\r")),
    Reader("run", lambda: [json_document(_saved_run()[0])], _read_run, JSON_TOKENS),
    Reader("journal", lambda: [json_lines_document(_saved_run()[1])], _read_journal, JSON_TOKENS),
    Reader("case-journal", _case_journal_documents, _read_case_journal, JSON_TOKENS),
    Reader("settings", _settings_documents, _read_settings, TOML_TOKENS),
    Reader("baseline", _baseline_documents, _read_baseline, JSON_TOKENS),
    Reader("audio", _container_documents, _read_container, AUDIO_TOKENS),
    Reader("raw-audio", _raw_audio_documents, _read_raw_audio, AUDIO_TOKENS),
    Reader("event-stream", _stream_documents, _read_stream, SSE_TOKENS),
    Reader("body", _body_documents, _read_body, (*JSON_TOKENS, b"--x", b"--x--", b"\r\n\r\n", b"&", b"=", b"%")),
)


def find_reader(name: str) -> Reader:
    """Return the reader with this name."""
    return next(reader for reader in READERS if reader.name == name)


def temporary_folders() -> Generator[Path]:
    """Yield empty folders in the memory of this machine, if it has a file system there; each is deleted afterwards."""
    memory = Path("/dev/shm")  # noqa: S108
    while True:
        folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
