from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.speech.whisper_installation import (
    OfficialWeights,
    copy_weights,
    download_weights,
    find_official_weights,
    install_weights,
)

BYTES = bytes(range(256)) * 10_000


@pytest.fixture
def weights(tmp_path: Path) -> Iterator[OfficialWeights]:
    """Weights of a name of our own, on a server of this machine."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "own.pt").write_bytes(BYTES)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(served))  # type: ignore[arg-type]

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    url = f"http://127.0.0.1:{server.server_port}/own.pt"
    yield OfficialWeights("own", url, hashlib.sha256(BYTES).hexdigest())
    server.shutdown()
    server.server_close()


def test_weights_are_downloaded_whole_and_checked(weights: OfficialWeights, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "cache" / "own.pt"
    assert download_weights(weights, path, lambda had, total: seen.append((had, total))) == path
    assert path.read_bytes() == BYTES
    assert seen[-1] == (len(BYTES), len(BYTES))


def test_other_bytes_are_rejected_and_removed(weights: OfficialWeights, tmp_path: Path) -> None:
    other, file = weights._replace(sha256="0" * 64), tmp_path / "text.txt"
    with pytest.raises(UsageError, match=r"own\.pt: these 2560000 bytes are not the official weights of own: "):
        download_weights(other, tmp_path / "cache" / "own.pt")
    file.write_text("Hello")
    with pytest.raises(UsageError, match=r"text\.txt: these 5 bytes are not the official weights of own: "):
        copy_weights(weights, file, tmp_path / "cache" / "own.pt")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_installed_file_survives_a_download_of_other_bytes(weights: OfficialWeights, tmp_path: Path) -> None:
    path = tmp_path / "own.pt"
    path.write_bytes(b"before")
    with pytest.raises(UsageError):
        copy_weights(weights._replace(sha256="0" * 64), tmp_path / "served" / "own.pt", path)
    assert path.read_bytes() == b"before"


def test_weights_are_copied_from_a_folder_without_network(weights: OfficialWeights, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "own.pt"
    assert copy_weights(weights, tmp_path / "served" / "own.pt", path).read_bytes() == BYTES


def test_a_failed_download_is_reported_in_one_line_with_the_remedy(weights: OfficialWeights, tmp_path: Path) -> None:
    gone = weights._replace(url="http://127.0.0.1:9/own.pt")
    with pytest.raises(UsageError, match=r"could not be downloaded .*`voicegauge asr install own --from FOLDER`"):
        download_weights(gone, tmp_path / "own.pt")


@pytest.mark.slow
def test_the_official_digests_are_openai_whispers() -> None:
    assert find_official_weights("tiny.en").file_name == "tiny.en.pt"
    assert find_official_weights("turbo").file_name == "large-v3-turbo.pt"
    assert find_official_weights("base.en").sha256.startswith("25a8566e")
    with pytest.raises(UnknownNameError, match=r"did you mean base\.en"):
        find_official_weights("bass.en")


@pytest.mark.slow
def test_a_folder_without_the_file_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match=r"tiny\.en\.pt: No such file"):
        install_weights("tiny.en", tmp_path)
