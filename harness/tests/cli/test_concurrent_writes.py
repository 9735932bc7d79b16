"""Threads that write the same file at the same time do not disturb each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voicegauge.files import write_file


def test_threads_write_the_same_file_at_the_same_time(tmp_path: Path) -> None:
    """As two targets do that deliver equal audio, which is saved under its digest."""
    path, content = tmp_path / "audio.wav", b"RIFF" * 50_000
    with ThreadPoolExecutor(8) as pool:
        for written in [pool.submit(write_file, path, content) for _ in range(200)]:
            written.result()
    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["audio.wav"]
