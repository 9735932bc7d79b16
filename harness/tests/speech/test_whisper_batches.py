"""Batches of clips, decoded by a small Whisper with random weights, which writes other words for each clip."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicegauge.bench._transcription_workers import open_process_pool
from voicegauge.bench.scoring import score_run
from voicegauge.errors import UsageError
from voicegauge.speech.asr_engines import WhisperAsr, create_whisper_asr, move_to_gpu
from voicegauge.speech.decoding import Samples

from .tiny_whisper import RATE_HZ, TEXTS, make_random_checkpoint, save_run_of_sounds, sound

pytestmark = pytest.mark.slow  # importing torch takes seconds


@pytest.fixture(scope="module")
def random_asr(tmp_path_factory: pytest.TempPathFactory) -> WhisperAsr:
    asr = create_whisper_asr(str(make_random_checkpoint(tmp_path_factory.mktemp("whisper") / "random.pt")))
    return replace(asr, max_tokens_per_s=8.0)  # it never ends a transcript


def noises(*seeds: int, seconds: float = 1.0) -> list[Samples]:
    return [
        (np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)) * 0.1).astype(np.float32) for seed in seeds
    ]


def test_a_batch_has_the_tokens_that_single_clips_have(random_asr: WhisperAsr) -> None:
    clips = [*noises(1, 2, 3), *noises(4, 5, seconds=0.5)]
    alone = [random_asr.transcribe(samples, "en") for samples in clips]
    assert len(set(alone)) == 5, "a model that writes the same for every clip would show nothing"
    assert random_asr.transcribe_batch(clips, "en") == alone


def test_a_batch_that_the_memory_does_not_hold_is_decoded_in_halves(
    random_asr: WhisperAsr, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    import whisper

    clips, sizes, decode = noises(1, 2, 3), [], whisper.decode
    expected = random_asr.transcribe_batch(clips, "en")

    def decode_in_little_memory(model: Any, windows: Any, options: Any) -> Any:
        sizes.append(len(windows))
        if len(windows) > 1:
            raise torch.cuda.OutOfMemoryError
        return decode(model, windows, options)

    monkeypatch.setattr(whisper, "decode", decode_in_little_memory)
    assert random_asr.transcribe_batch(clips, "en") == expected
    assert sizes == [3, 1, 2, 1, 1]


@pytest.mark.parametrize(
    "message",  # of torch 2.11 on an H100: of its allocator, and of the driver while kernels are loaded
    ["CUDA out of memory. Tried to allocate 30.00 MiB. GPU 0 has", "CUDA error: out of memory\nSearch for `cudaError"],
)
def test_a_clip_that_the_memory_of_the_gpu_does_not_hold_is_one_line(
    message: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    import whisper
    from distributed import LocalCluster

    def decode_without_memory(*_: Any) -> None:
        raise (torch.cuda.OutOfMemoryError if "allocate" in message else RuntimeError)(message)

    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("voicegauge.speech.asr_engines.GPU_DEVICE", "cpu")
    monkeypatch.setattr(whisper, "decode", decode_without_memory)
    run = save_run_of_sounds(tmp_path, ["low", "high"])
    # Workers of a cluster can be threads of this process, where functions are replaced.
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None, protocol="tcp") as cluster,
        pytest.raises(UsageError, match=r"the memory of the GPU is too small for whisper:.*--workers 1"),
    ):
        score_run(tmp_path, run, f"whisper:{checkpoint}", cluster=cluster.scheduler_address)


def test_workers_do_not_warn_of_the_processor_where_a_gpu_is() -> None:
    with open_process_pool(1) as pool:
        filters = pool.executor.submit(eval, "__import__('warnings').filters").result()
    warning = "Performing inference on CPU when CUDA is available"
    assert any(action == "ignore" and words and words.match(warning) for action, words, *_ in filters)


def test_clips_of_other_lengths_than_one_window_are_transcribed_alone(checkpoint: Path) -> None:
    asr = create_whisper_asr(str(checkpoint))
    clips = [sound("low"), sound("high", seconds=33), sound("high"), sound("low")[:100]]
    transcripts = asr.transcribe_batch(clips, "en")
    assert transcripts == [asr.transcribe(samples, "en") for samples in clips]
    assert [transcripts[0], transcripts[2], transcripts[3]] == [TEXTS["low"].strip(), TEXTS["high"].strip(), ""]


def test_the_settings_name_the_gpu(random_asr: WhisperAsr) -> None:
    on_gpu = move_to_gpu(random_asr)
    assert (random_asr.clips_per_batch, on_gpu.clips_per_batch) == (1, 8)
    assert on_gpu.settings["device"] == "cuda"
    assert "device" not in random_asr.settings


@pytest.mark.parametrize("on_cluster", [False, True], ids=["here", "Dask"])
def test_a_run_is_scored_in_batches_where_a_gpu_is(
    on_cluster: bool, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GPU is the processor under another name: the clips take the way to a GPU."""
    import torch
    import whisper
    from distributed import LocalCluster

    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("voicegauge.speech.asr_engines.GPU_DEVICE", "cpu")
    sizes, decode = [], whisper.decode
    monkeypatch.setattr(whisper, "decode", lambda *words: sizes.append(len(words[1])) or decode(*words))
    run = save_run_of_sounds(tmp_path, ["low", "high", "high"])
    with ExitStack() as stack:
        cluster = None
        if on_cluster:
            local = LocalCluster(n_workers=1, processes=False, dashboard_address=None, protocol="tcp")
            cluster = stack.enter_context(local).scheduler_address
        scores = score_run(tmp_path, run, f"whisper:{checkpoint}", cluster=cluster)
    assert scores is not None
    assert [score.transcript for score in scores.scores] == [TEXTS[name].strip() for name in ("low", "high", "high")]
    assert scores.settings["clips_per_batch"] == "8"
    assert max(sizes) > 1
