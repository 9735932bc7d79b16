from __future__ import annotations

from pathlib import Path

import pytest

from voicegauge.contract import Catalogue, load_catalogue
from voicegauge.model import DOWNLOAD
from voicegauge.recording.importing import import_recording

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
    imported = import_recording(file, catalogue.provider("pixelapi"))
    assert foreign.says in imported.format
    assert not imported.remarks
    assert [e.operation for e in imported.exchanges] == OPERATIONS[: len(items)]
    for exchange, item in zip(imported.exchanges, items, strict=True):
        assert exchange.request.method == item.method
        assert exchange.request.url.replace(":443", "") == item.url
        assert exchange.request.body == item.request_body
        assert exchange.request.header("authorization") == dict(item.request_headers).get("Authorization")
        assert exchange.response.status == item.status
        assert exchange.response.body == item.response_body
        assert exchange.response.media_type == dict(item.response_headers)["Content-Type"]
    assert len({exchange.group for exchange in imported.exchanges}) == 1
    assert imported.exchanges[0].group


def test_at_least_twelve_variants() -> None:
    assert len(FORMATS) >= 12
    assert sum("vcr" in name or "ruby" in name or name == "betamax" for name in FORMATS) >= 12


def test_a_tape_alone_with_its_body_in_base64(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text(
        '{"url": "https://api.pixelapi.dev/v1/tts/status/123456", "init": {"headers": {}, "method": "GET"},'
        ' "response": {"body": "eyJkZXRhaWwiOiAiTm90IGZvdW5kIn0=", "status": 404, "statusText": "Not Found"}}'
    )
    (exchange,) = import_recording(file, catalogue.provider("pixelapi")).exchanges
    assert exchange.response.body == b'{"detail": "Not found"}'


def test_times_are_read_from_the_file(catalogue: Catalogue, tmp_path: Path) -> None:
    for name, expected in (("ruby_binary", "10:00:20"), ("har_chrome", "10:00:00"), ("betamax", "10:00:20")):
        file = tmp_path / FORMATS[name].filename
        file.write_text(FORMATS[name].write(conversation()))
        found = import_recording(file, catalogue.provider("pixelapi")).recorded_at
        assert found is not None
        assert found.isoformat() == f"2026-03-31T{expected}+00:00"


def test_a_download_is_one_only_if_an_answer_names_it(catalogue: Catalogue, tmp_path: Path) -> None:
    file = tmp_path / "cassette.yaml"
    file.write_text(FORMATS["vcrpy_1_yaml"].write(conversation()[3:]))
    imported = import_recording(file, catalogue.provider("pixelapi"))
    assert not imported.exchanges
    assert "output.example" in imported.remarks[0].says
    assert DOWNLOAD not in {exchange.operation for exchange in imported.exchanges}
