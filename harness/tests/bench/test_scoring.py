"""Scoring with real audio, a real ASR engine and separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from voicegauge.bench._transcription_workers import AudioClip, ClusterConnection, transcribe_clips
from voicegauge.bench.run_store import save_audio
from voicegauge.bench.scoring import choose_scoring_asr, score_run
from voicegauge.errors import DataError, UnreachableError, UsageError
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Failure
from voicegauge.model.run import Run, ScoreSet
from voicegauge.model.sample import Sample
from voicegauge.speech.asr_engines import SpokenText
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.decoding import RawAudioFormat
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize

from ..builders.runs import build_run, build_sample

RATE = 16_000
TEXT = "Why did nobody answer the phone this morning?"
WORDS = 8


def speech(text: str = TEXT, language: str = "en") -> NDArray[np.float32]:
    return synthesize(
        text, language=language, voice_variant="klatt5", words_per_minute=175, pitch=50, sample_rate_hz=RATE, seed=0
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transcript cache shared by the tests, so that each clip is transcribed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def bare(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Whisper weights, and only the transcripts of these tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("HF_HOME", str(cache))
    monkeypatch.delenv("VOICEGAUGE_WHISPER", raising=False)
    monkeypatch.delenv("VOICEGAUGE_CACHE", raising=False)


@pytest.fixture
def empty_cache(bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cached transcripts."""
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path / "empty-cache"))


@dataclass
class Folder:
    """The folder of a run, to which samples are added."""

    path: Path
    samples: list[Sample] = field(default_factory=list)

    def add(self, audio: bytes | None, declared: RawAudioFormat | None = None, **words: object) -> Sample:
        made = build_sample(len(self.samples), words=TEXT, failure=None if audio else FAILURE)
        measured = None
        if audio:
            _, file = save_audio(self.path, audio)
            measured = EncodedAudio(audio, media_type="audio/wav", raw_format=declared).measure_facts(file)
        self.samples.append(msgspec.structs.replace(made, audio=measured, **words))
        return self.samples[-1]

    def run(self, **changes: object) -> Run:
        return build_run(tuple(self.samples), **changes)

    def scored(self, asr: str = "auto") -> ScoreSet:
        found = score_run(self.path, self.run(), asr, workers=1)
        assert found is not None
        return found


FAILURE = Failure(kind="server_error", message="500", http_status=500)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "run").mkdir()
    return Folder(tmp_path / "run")


def wav(samples: NDArray[np.float32]) -> bytes:
    return encode(samples, RATE, "wav")[0]


def test_every_sample_is_scored_whatever_the_audio_contains(folder: Folder) -> None:
    spoken = folder.add(wav(speech()))
    silent = folder.add(wav(np.zeros(RATE, np.float32)))
    broken = folder.add(b"<html>502 Bad Gateway</html>")
    failed = folder.add(None)
    folder.add(wav(speech()), is_warmup=True)
    scores = {score.sample_id: score for score in folder.scored().scores}
    assert set(scores) == {spoken.id, silent.id, broken.id, failed.id}
    assert scores[spoken.id].error_rate <= 0.4
    lost = {silent.id: "silence", broken.id: "undecodable", failed.id: "missing"}
    for name, audio_content in lost.items():
        assert (scores[name].audio_content, scores[name].deletions, scores[name].reference_unit_count) == (
            audio_content,
            WORDS,
            WORDS,
        )


def test_a_score_set_names_the_engine_and_its_errors_on_reference_speech(folder: Folder) -> None:
    folder.add(wav(speech()))
    found = folder.scored()
    assert found.asr.startswith("lexicon/1 phonemes@")
    assert found.asr_reason == "no official weights of Whisper are installed, and the run is emulated"
    assert found.normalizer == "whisper-english/1"
    assert found.has_closed_vocabulary
    assert {"symspellpy", "jiwer", "silence_gate", "floor_voice"} <= set(found.settings)
    (errors,) = found.reference_speech_errors
    assert (errors.language, errors.unit, errors.reference_unit_count, errors.text_count) == ("en", "word", WORDS, 1)
    assert errors.error_count <= 3


def test_languages_that_the_engine_does_not_support_are_left_out_and_listed(folder: Folder) -> None:
    english = folder.add(wav(speech()))
    folder.add(wav(speech("Guten Morgen.", "de")), language="de", text="Guten Morgen.")
    folder.add(None, language="ja", text="おはよう。")
    found = folder.scored()
    assert found.unsupported_languages == ("de", "ja")
    assert [score.sample_id for score in found.scores] == [english.id]
    assert [errors.language for errors in found.reference_speech_errors] == ["en"]


def test_raw_audio_is_decoded_as_declared(folder: Folder) -> None:
    raw, _ = encode(speech(), RATE, "pcm_s16le")
    folder.add(raw, RawAudioFormat(sample_rate_hz=RATE))
    folder.add(wav(speech()))
    folder.add(raw, RawAudioFormat(sample_rate_hz=RATE // 2))
    first, second, slow = folder.scored().scores
    assert first.audio_content == "speech"
    assert first.transcript == second.transcript
    assert slow.transcript != first.transcript, "equal bytes are other audio at another rate"


def test_scoring_again_gives_the_same_and_transcribes_nothing(folder: Folder, empty_cache: None) -> None:
    folder.add(wav(speech()))
    folder.add(wav(speech()[: RATE // 2]))
    steps: list[tuple[int, int]] = []
    first = score_run(folder.path, folder.run(), "auto", workers=1, report_progress=lambda *step: steps.append(step))
    assert steps[0] == (0, 3)
    assert steps[-1] == (3, 3), "two samples and the reference"
    steps.clear()
    again = score_run(folder.path, folder.run(), "auto", workers=1, report_progress=lambda *step: steps.append(step))
    assert again == first
    assert steps == [(3, 3)]


@pytest.mark.parametrize("damage", ["gone", "changed", "outside"])
def test_audio_that_was_changed_is_rejected(folder: Folder, empty_cache: None, damage: str) -> None:
    made = folder.add(wav(speech()))
    assert made.audio is not None
    path = folder.path / made.audio.file_path
    if damage == "gone":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(wav(speech("Something else.")))
    else:
        audio = msgspec.structs.replace(made.audio, file_path="../../secret.wav")
        folder.samples = [msgspec.structs.replace(made, audio=audio)]
    advice = r"\.wav: 1 audio file is missing.*: restore .*audio, or measure again" if damage == "gone" else r"\.wav"
    with pytest.raises(DataError, match=advice) as caught:
        folder.scored()
    assert "\n" not in str(caught.value)


def test_without_an_engine_nothing_is_scored(folder: Folder) -> None:
    folder.add(wav(speech()))
    assert score_run(folder.path, folder.run(), "none") is None
    live = folder.run(provenance=Provenance.LIVE)
    assert score_run(folder.path, live, "auto") is None
    assert "--asr whisper" in choose_scoring_asr("auto", Provenance.LIVE, [SpokenText("en", TEXT)]).reason


def test_a_dask_cluster_transcribes_as_this_machine_does(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    raw, _ = encode(speech(), RATE, "pcm_s16le")
    folder.add(raw, RawAudioFormat(sample_rate_hz=RATE))
    folder.add(wav(speech()))
    here = folder.scored()
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(folder.path / "another-cache"))
    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp") as cluster:
        there = score_run(folder.path, folder.run(), "auto", cluster=cluster.scheduler_address)
    assert there == here


def test_no_scheduler_at_the_address_is_one_line(
    folder: Folder, empty_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicegauge.bench._transcription_workers.CLUSTER_CONNECT_TIMEOUT_S", 0.2)
    folder.add(wav(speech()))
    with pytest.raises(UnreachableError, match=r"no Dask scheduler responds at tcp://127\.0\.0\.1:1:"):
        score_run(folder.path, folder.run(), "auto", cluster="tcp://127.0.0.1:1")


def test_a_cluster_without_workers_is_one_line(
    folder: Folder, empty_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr("voicegauge.bench._transcription_workers.CLUSTER_WORKER_TIMEOUT_S", 0.1)
    folder.add(wav(speech()))
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp") as cluster,
        pytest.raises(UnreachableError, match=r"has no worker: start one with `dask worker tcp://127\.0\.0\.1:\d+`"),
    ):
        score_run(folder.path, folder.run(), "auto", cluster=cluster.scheduler_address)


@pytest.mark.slow
def test_workers_that_disappear_are_one_line_and_what_was_transcribed_is_kept(
    folder: Folder, empty_cache: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from distributed import LocalCluster

    for text in ("One.", "Two.", "Three.", "Four.", "Five.", "Six."):
        folder.add(wav(speech(text)))
    asr = choose_scoring_asr("embedded", Provenance.EMULATED, [SpokenText("en", TEXT)]).asr
    assert asr is not None
    monkeypatch.setattr(type(asr), "clips_per_batch", 2)  # as on a GPU
    clips = [
        AudioClip(folder.path / sample.audio.file_path, sample.audio, sample.language)
        for sample in folder.samples
        if sample.audio is not None
    ]
    steps: list[int] = []
    monkeypatch.setattr("voicegauge.bench._transcription_workers.WORKER_CHECK_INTERVAL_S", 0.2)
    monkeypatch.setattr("voicegauge.bench._transcription_workers.MAX_CLIPS_IN_FLIGHT_ON_CLUSTER", 1)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", protocol="tcp") as cluster:
        monkeypatch.setattr("voicegauge.bench._transcription_workers.CLUSTER_WORKER_TIMEOUT_S", 60.0)
        with ClusterConnection(cluster.scheduler_address) as connection:
            gpu_workers = list(connection.client.ncores())
            monkeypatch.setattr(ClusterConnection, "gpu_worker_addresses", gpu_workers)
            monkeypatch.setattr("voicegauge.bench._transcription_workers.CLUSTER_WORKER_TIMEOUT_S", 1.0)

            def kill_workers_after_first_group(done: int, _total: int) -> None:
                steps.append(done)
                if done == 2:
                    for process in connection.client.run(os.getpid).values():
                        os.kill(process, signal.SIGKILL)

            with pytest.raises(UnreachableError, match=r"lost its workers.*goes on") as caught:
                transcribe_clips(
                    asr, clips, workers=1, cluster=connection, report_progress=kill_workers_after_first_group
                )
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err
    assert steps[:2] == [0, 2]
    transcribe_clips(asr, clips, workers=1, report_progress=lambda done, _: steps.append(done))
    assert steps[-1] == 6
    assert steps[steps.index(2) + 1 :][0] >= 2, "those of the cluster are not transcribed again"


def test_an_error_of_dask_about_workers_is_one_line() -> None:
    from distributed import KilledWorker

    with (
        pytest.raises(UnreachableError, match=r"tcp://10\.0\.0\.1:8786 lost its workers"),
        ClusterConnection("tcp://10.0.0.1:8786") as connection,
        connection.report_lost_workers(),
    ):
        raise KilledWorker("task", None, 3)


@pytest.mark.parametrize(
    "address",
    [
        "foo",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("", "tcp://:::", "http://127.0.0.1:80", "tcp://127.0.0.1:99999")
        ),
    ],
)
def test_an_unusable_address_of_a_scheduler_is_one_line(folder: Folder, empty_cache: None, address: str) -> None:
    folder.add(wav(speech()))
    with pytest.raises(UsageError, match=r"is not the address of a Dask scheduler: write it like tcp://HOST:8786"):
        score_run(folder.path, folder.run(), "auto", cluster=address)


def test_no_process_is_left_behind_when_the_parent_is_killed() -> None:
    program = """
import time
from voicegauge.bench._transcription_workers import open_process_pool
with open_process_pool(1) as pool:
    pool.executor.submit(print, "started", flush=True).result()
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    parent.kill()
    # The worker has inherited the standard output: it ends when the last process that holds it has.
    assert parent.communicate(timeout=60)[0] == b""
