"""The training of the embedded Whisper: the same to the bit on every run, and whole after an interruption.

torch and the training are imported where they are needed, because that takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch
    from embedded_whisper import train


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of a few clips."""
    from embedded_whisper import corpus

    monkeypatch.setattr(corpus, "CLIPS", 4)
    monkeypatch.setitem(corpus.KINDS, "short", corpus.Kind(1, (1, 2)))
    corpus.make_shard("short", 0, corpus.shard_path(tmp_path, "short", 0))
    return tmp_path


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is the only rank."""
    import torch.distributed
    from embedded_whisper import train

    monkeypatch.setattr(train, "RANKS", 1)
    meeting = (tmp_path / "ranks").as_uri()
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def weights(training: train.Training) -> torch.Tensor:
    import torch

    return torch.cat([value.flatten() for value in [*training.network.parameters(), *training.average.values()]])


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_weights(
    shards: Path, alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from embedded_whisper import batches, train

    stage = batches.Stage(("short",), frames=110, budget=400, steps=3, padding=4)
    monkeypatch.setattr(train, "ALIGNED_FROM", 1)
    whole = train.Training(tmp_path / "none")
    losses = [whole.learn(shards, stage, 0) for _ in range(stage.steps)]
    cut = train.Training(tmp_path)
    cut.learn(shards, stage, 0)
    cut.save()
    resumed = train.Training(tmp_path)
    again = [resumed.learn(shards, stage, 0) for _ in range(stage.steps - 1)]
    assert resumed.step == whole.step == stage.steps
    assert torch.equal(torch.stack(again), torch.stack(losses[1:]))
    assert torch.equal(weights(resumed), weights(whole))


@pytest.mark.slow
def test_a_shard_comes_out_the_same(shards: Path, tmp_path: Path) -> None:
    from embedded_whisper import corpus

    again = corpus.shard_path(tmp_path, "short", 1).with_name("again.npy")
    corpus.make_shard("short", 0, again)
    for suffix in (".npy", ".npz"):
        first = corpus.shard_path(shards, "short", 0).with_suffix(suffix)
        assert again.with_suffix(suffix).read_bytes() == first.read_bytes()


@pytest.mark.slow
def test_phonemes_are_found_where_they_sound() -> None:
    import torch
    from embedded_whisper import aligning

    blank, first, second = 0, 1, 2
    frames = [blank, first, first, blank, blank, second, blank, second]
    scores = torch.eye(3)[frames].add(1e-3).log().unsqueeze(1).numpy()
    assert aligning.align(scores, [[first, second, second]])[0].tolist() == [1, 5, 7]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 6, 6), (2, 4, 16), (2, 16, 4)])
def test_steps_of_muon_are_about_as_long_in_all_directions(shape: tuple[int, ...]) -> None:
    import torch
    from embedded_whisper import muon

    torch.manual_seed(1)
    lengths = torch.linalg.svdvals(muon.orthogonal(torch.randn(shape)))
    assert float(lengths.min()) > 0.3
    assert float(lengths.max()) < 1.3
