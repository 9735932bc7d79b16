from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voicegauge.contract.loading import Catalogue, load_catalogue
from voicegauge.model.exchange import DOWNLOAD_OPERATION, Exchange, Timing
from voicegauge.recording.foreign_recordings import import_recording
from voicegauge.recording.replay import schedule_response

from .foreign import AUDIO, FORMATS, OPERATIONS, conversation


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.mark.parametrize("name", FORMATS)
def test_a_conversation_is_read_from_every_format(name: str, catalogue: Catalogue, tmp_path: Path) -> None:
    foreign = FORMATS[name]
    items = [i for i in conversation() if foreign.binary or i.response_body != AUDIO]
    file = tmp_path / foreign.filename
    file.write_text(foreign.write(items), "utf-8")
    imported = import_recording(file, catalogue.find_provider("pixelapi"))
    assert foreign.says in imported.file_format
    assert not imported.remarks
    assert [e.operation for e in imported.exchanges] == OPERATIONS[: len(items)]
    for exchange, item in zip(imported.exchanges, items, strict=True):
        assert exchange.request.method == item.method
        assert exchange.request.url.replace(":443", "") == item.url
        assert exchange.request.body == item.request_body
        assert exchange.request.find_header("authorization") == dict(item.request_headers).get("Authorization")
        assert exchange.response.status == item.status
        assert exchange.response.body == item.response_body
        assert exchange.response.media_type == dict(item.response_headers)["Content-Type"]
    assert len({exchange.conversation_id for exchange in imported.exchanges}) == 1
    assert imported.exchanges[0].conversation_id


def test_at_least_twelve_variants() -> None:
    assert len(FORMATS) >= 12
    assert sum("vcr" in name or "ruby" in name or name == "betamax" for name in FORMATS) >= 12


def test_a_tape_alone_with_its_body_in_base64(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(
        '{"url": "https://api.pixelapi.dev/v1/tts/status/123456", "init": {"headers": {}, "method": "GET"},'
        ' "response": {"body": "eyJkZXRhaWwiOiAiTm90IGZvdW5kIn0=", "status": 404, "statusText": "Not Found"}}'
    )
    (exchange,) = import_recording(file, catalogue.find_provider("pixelapi")).exchanges
    assert exchange.response.body == b'{"detail": "Not found"}'


def test_times_are_read_from_the_file(catalogue: Catalogue, tmp_path: Path) -> None:
    for name, expected in (("ruby_binary", "10:00:20"), ("har_chrome", "10:00:00"), ("betamax", "10:00:20")):
        file = tmp_path / FORMATS[name].filename
        file.write_text(FORMATS[name].write(conversation()))
        found = import_recording(file, catalogue.find_provider("pixelapi")).recorded_at
        assert found is not None
        assert found.isoformat() == f"2026-03-31T{expected}+00:00"


def test_a_download_needs_a_response_that_contains_its_url(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "cassette.yaml"
    file.write_text(FORMATS["vcrpy_1_yaml"].write(conversation()[3:]))
    imported = import_recording(file, catalogue.find_provider("pixelapi"))
    assert not imported.exchanges
    assert "output.example" in imported.remarks[0].message
    assert DOWNLOAD_OPERATION not in {exchange.operation for exchange in imported.exchanges}


def timed(catalogue: Catalogue, folder: Path, **entry: Any) -> tuple[Timing | None, Exchange]:
    """The times of the first entry of a browser's HAR file with `entry` changed, and the exchange."""
    log = json.loads(FORMATS["har_chrome"].write(conversation()))
    log["log"]["entries"] = [{**log["log"]["entries"][0], **entry}]
    file = folder / "one.har"
    file.write_text(json.dumps(log))
    (exchange,) = import_recording(file, catalogue.find_provider("pixelapi")).exchanges
    return exchange.timing, exchange


def test_times_of_a_har_file_are_imported_and_replayed(catalogue: Catalogue, tmp_path: Path) -> None:
    phases = {"blocked": 2, "dns": 3, "connect": 30, "ssl": 20, "send": 1, "wait": 400, "receive": 50.5}
    timing, exchange = timed(catalogue, tmp_path, startedDateTime="2026-03-01T10:00:00+01:00", timings=phases)
    assert timing is not None
    assert timing.started_at == 1_772_355_600
    assert (timing.connection_wait_ms, timing.dns_ms, timing.connect_ms, timing.tls_ms, timing.send_ms) == (
        2,
        3,
        10,
        20,
        1,
    )
    assert timing.delay_before_send_ms == 35
    assert (timing.ttfb_ms, timing.receive_ms, timing.total_ms) == (400, 50.5, 486.5)
    plan = schedule_response(exchange, 1.0)
    assert plan.send_headers_after_s == 0.4
    assert [round(piece.send_after_s, 6) for piece in plan.chunks] == [0.4505]


@pytest.mark.parametrize(
    ("phases", "imported"),
    [
        ({"send": 0, "wait": 10, "receive": 0}, True),
        ({"blocked": -1, "dns": -1, "connect": -1, "ssl": -1, "send": 0, "wait": 10, "receive": 1}, True),
        ({"send": 0, "wait": 0, "receive": 0}, False),
        ({"send": 1, "wait": -1, "receive": 1}, False),
        ({"wait": "10", "receive": 1}, False),
        ({"wait": 1e308, "receive": 1e308}, False),
        ({"wait": True, "receive": 1}, False),
        ([], False),
        (None, False),
    ],
)
def test_implausible_times_are_not_imported(catalogue: Catalogue, tmp_path: Path, phases: Any, imported: bool) -> None:
    timing, _ = timed(catalogue, tmp_path, timings=phases)
    assert (timing is not None) is imported
    if timing is not None:
        assert (timing.connect_ms, timing.tls_ms, timing.ttfb_ms) == (None, None, 10)
    assert timed(catalogue, tmp_path, timings=phases, startedDateTime="some day")[0] is None
