"""Transcribing clips in other processes: of this machine, or of a Dask cluster."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from voicegauge.bench.scoring.spawn_context import IsolatedSpawnContext
from voicegauge.errors import DataError, MissingExtraError, UnreachableError, UsageError
from voicegauge.model import AudioFacts
from voicegauge.speech import suppress_decoder_stderr
from voicegauge.speech.asr import Asr, TranscriptCache, Transcription, transcribe_audio
from voicegauge.speech.audio import EncodedAudio

CLUSTER_WINDOW = 64
"""Clips under way on a cluster at once: enough for a rack of workers, and few enough for the scheduler's memory."""
CONNECT_S = 10.0

Progress = Callable[[int, int], None]
"""Called with the clips transcribed so far and all of them."""


Key = tuple[str, str]
"""What is heard, and its language."""


def audio_key(facts: AudioFacts, language: str) -> Key:
    """The key of audio: its digest, with what was declared of samples without a header."""
    declared = f" {facts.raw_format} {facts.sample_rate_hz} Hz {facts.channels}" if facts.raw_format else ""
    return facts.sha256 + declared, language


class AudioClip(NamedTuple):
    """A file to transcribe."""

    path: Path
    facts: AudioFacts
    language: str

    @property
    def key(self) -> Key:
        """Equal audio in one language is heard once."""
        return audio_key(self.facts, self.language)

    def read(self) -> bytes:
        """The audio.

        Raises:
            DataError: it is missing, or not what was measured.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path}: the audio of the run cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != self.facts.sha256:
            raise DataError(f"{self.path}: the audio of the run was changed: its digest is another one")
        return data


Transcripts = dict[Key, Transcription]
"""What was heard, by `Clip.key`."""


def transcribe(
    asr: Asr, clips: Iterable[AudioClip], *, workers: int, cluster: str | None = None, progress: Progress | None = None
) -> Transcripts:
    """Transcribe `clips`, asking the cache first.

    Args:
        asr: sent to the processes, which load its model once each.
        clips: equal ones are heard once.
        workers: processes of this machine.
        cluster: the address of a Dask scheduler, whose workers are taken instead.
        progress: told of each clip.

    Raises:
        DataError: a clip is missing or was changed.
        UsageError: a process died.
        MissingExtraError: a cluster is named and Dask is not installed.
        UnreachableError: no scheduler answers at `cluster`.
    """
    wanted = {clip.key: clip for clip in clips}
    cache = TranscriptCache(asr.id, asr.settings)
    heard = {key: found for key in wanted if (found := cache.get(*key)) is not None}
    lacking = [clip for key, clip in wanted.items() if key not in heard]
    if progress:
        progress(len(heard), len(wanted))
    for clip in lacking:
        clip.read()  # one that is damaged is told of now, not when its turn comes an hour later
    if not lacking:
        return heard
    with _cluster(cluster) if cluster else _processes(min(workers, len(lacking))) as pool:
        for clip, found in _heard_one_by_one(pool, asr, lacking):
            heard[clip.key] = found
            cache.put(*clip.key, found)
            if progress:
                progress(len(heard), len(wanted))
    return heard


class _Pool(NamedTuple):
    executor: Executor
    window: int
    """Clips under way at once."""
    remote: bool
    """Its processes see none of this machine's files."""


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[_Pool]:
    executor = ProcessPoolExecutor(workers, mp_context=IsolatedSpawnContext(), initializer=suppress_decoder_stderr)
    try:
        yield _Pool(executor, 2 * workers, remote=False)
    except BrokenProcessPool as error:
        raise UsageError(
            "a transcribing process died, perhaps for want of memory: take --workers 1 or a smaller model"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)  # after Ctrl-C as well: waits for the clips in hand alone


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[_Pool]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise MissingExtraError("Dask", "dask") from error
    try:
        client: Any = Client(address, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UnreachableError(f"no Dask scheduler answers at {address}: write it like tcp://HOST:8786") from error
    with client:
        executor = client.get_executor(pure=False)
        yield _Pool(executor, CLUSTER_WINDOW, remote=True)


def _heard_one_by_one(pool: _Pool, asr: Asr, clips: Iterable[AudioClip]) -> Iterator[tuple[AudioClip, Transcription]]:
    name, waiting = asr.id, iter(clips)
    asked: dict[Future[Transcription], AudioClip] = {}
    while True:
        with _interrupts_held():
            for clip in islice(waiting, pool.window - len(asked)):
                audio = clip.read() if pool.remote else clip
                asked[pool.executor.submit(_hear, name, asr, audio, clip.facts, clip.language)] = clip
        if not asked:
            return
        for done in wait(asked, return_when=FIRST_COMPLETED).done:
            yield asked.pop(done), done.result()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    # Processes started meanwhile never hear Ctrl-C, not even while they load: this one ends them.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _interrupts_put_off():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[None]:
    # Another thread may take the signal, which Python then raises here: between the start of a process and its work.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if arrived:
        signal.raise_signal(signal.SIGINT)


_loaded: dict[str, Asr] = {}
"""The speech recognizers of this process, so that each loads its model once."""
_one_at_a_time = threading.Lock()
"""A Dask worker has several threads, and a speech recognizer hears one clip at a time."""


def _hear(name: str, asr: Asr, audio: AudioClip | bytes, facts: AudioFacts, language: str) -> Transcription:
    data = audio.read() if isinstance(audio, AudioClip) else audio
    with _one_at_a_time:
        return transcribe_audio(_loaded.setdefault(name, asr), EncodedAudio.from_facts(data, facts), language)
