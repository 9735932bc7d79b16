"""Transcribes clips in parallel, in processes of this machine or on a Dask cluster."""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from voicegauge.bench.scoring.spawn_context import IsolatedSpawnContext, exclude_current_folder_from_import_path
from voicegauge.errors import DataError, MissingExtraError, UnreachableError, UsageError
from voicegauge.files import read_file
from voicegauge.model import AudioFacts
from voicegauge.speech import suppress_decoder_stderr
from voicegauge.speech.asr import Asr, TranscriptCache, Transcription, transcribe_audio
from voicegauge.speech.audio import EncodedAudio

MAX_CLIPS_IN_FLIGHT_ON_CLUSTER = 64
"""Maximum number of clips in flight on a cluster: enough for many workers, but not too many for its memory."""
CLUSTER_PROTOCOLS = ("tcp", "tls", "ws", "wss")
CLUSTER_CONNECT_TIMEOUT_S = 10.0
CLUSTER_WORKER_TIMEOUT_S = 10.0
"""Maximum time until a cluster has a worker; without one, its scheduler would keep the clips for ever."""

TranscriptionProgress = Callable[[int, int], None]
"""Function that is called with the number of clips transcribed so far and the number of all clips."""

TranscriptCacheKey = tuple[str, str]
"""Key that identifies the sound of an audio file, and the language in which it is transcribed."""


def build_transcript_cache_key(audio_facts: AudioFacts, language: str) -> TranscriptCacheKey:
    """Return the key under which a transcript is cached.

    For audio without a header, the digest does not determine the sound, so the declared encoding is part of the key.
    """
    encoding = (
        f" {audio_facts.raw_format} {audio_facts.sample_rate_hz} Hz {audio_facts.channels}"
        if audio_facts.raw_format
        else ""
    )
    return audio_facts.sha256 + encoding, language


class AudioClip(NamedTuple):
    """An audio file to transcribe."""

    path: Path
    audio_facts: AudioFacts
    language: str

    @property
    def cache_key(self) -> TranscriptCacheKey:
        """Key of the clip. Clips with equal audio and the same language have equal keys and are transcribed once."""
        return build_transcript_cache_key(self.audio_facts, self.language)

    def read(self) -> bytes:
        """Return the content of the file.

        Raises:
            DataError: the file is missing, or has changed since it was measured.
        """
        try:
            data = read_file(self.path)
        except OSError as error:
            raise DataError(f"{self.path}: the audio of the run cannot be read: {error.strerror}") from error
        if hashlib.sha256(data).hexdigest() != self.audio_facts.sha256:
            raise DataError(f"{self.path}: the audio of the run was changed: its digest differs")
        return data


TranscriptionsByCacheKey = dict[TranscriptCacheKey, Transcription]
"""Transcriptions by `AudioClip.cache_key`."""


def transcribe_clips(
    asr: Asr,
    clips: Iterable[AudioClip],
    *,
    workers: int,
    cluster: str | None = None,
    progress: TranscriptionProgress | None = None,
) -> TranscriptionsByCacheKey:
    """Return the transcriptions of `clips`; clips in the cache are not transcribed again.

    Args:
        asr: ASR engine that is sent to the processes; each process loads the model once.
        clips: audio files; files with equal content are transcribed once.
        workers: number of processes on this machine.
        cluster: address of a Dask scheduler whose workers are used instead.
        progress: called after each clip.

    Raises:
        DataError: a clip is missing or was changed.
        UsageError: a process was killed or crashed.
        MissingExtraError: a cluster is given, but Dask is not installed.
        UnreachableError: no scheduler responds at `cluster`, or it has no worker.
    """
    unique = {clip.cache_key: clip for clip in clips}
    cache = TranscriptCache(asr.id, asr.settings)
    transcripts = {key: cached for key in unique if (cached := cache.get(*key)) is not None}
    remaining = [clip for key, clip in unique.items() if key not in transcripts]
    if progress:
        progress(len(transcripts), len(unique))
    for clip in remaining:
        clip.read()  # reports a damaged file now, not after an hour of transcribing
    if not remaining:
        return transcripts
    with (
        _open_cluster_pool(cluster) if cluster is not None else _open_process_pool(min(workers, len(remaining))) as pool
    ):
        for clip, transcription in _transcribe_all(pool, asr, remaining):
            transcripts[clip.cache_key] = transcription
            cache.put(*clip.cache_key, transcription)
            if progress:
                progress(len(transcripts), len(unique))
    return transcripts


class _TranscriptionPool(NamedTuple):
    executor: Executor
    max_clips_in_flight: int
    """Maximum number of clips in flight."""
    is_remote: bool
    """Whether the pool's processes run on other machines and cannot read this machine's files."""


@contextlib.contextmanager
def _open_process_pool(workers: int) -> Iterator[_TranscriptionPool]:
    with exclude_current_folder_from_import_path():
        # Spawned, because forking a process with threads can deadlock.
        executor = ProcessPoolExecutor(workers, mp_context=IsolatedSpawnContext(), initializer=_prepare_worker)
        try:
            yield _TranscriptionPool(executor, 2 * workers, is_remote=False)
        except BrokenProcessPool as error:
            raise UsageError(
                "a transcribing process died, perhaps out of memory: use --workers 1 or a smaller model"
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)  # after Ctrl-C too, waits only for the clips being transcribed


def _prepare_worker() -> None:
    """Silence the decoders of a new worker process, and let it exit if its parent exits."""
    suppress_decoder_stderr()
    threading.Thread(target=_exit_when_parent_exits, daemon=True).start()


def _exit_when_parent_exits() -> None:
    # A killed parent cannot end its workers, and they would wait for the next clip forever.
    parent = multiprocessing.parent_process()
    assert parent is not None, "only called in a worker"
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _open_cluster_pool(address: str) -> Iterator[_TranscriptionPool]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise MissingExtraError("Dask", "dask") from error
    _check_cluster_address(address)
    try:
        client: Any = Client(address, timeout=CLUSTER_CONNECT_TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UnreachableError(f"no Dask scheduler responds at {address}: write it like tcp://HOST:8786") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CLUSTER_WORKER_TIMEOUT_S)
        except TimeoutError as error:
            raise UnreachableError(
                f"the Dask cluster at {address} has no worker: start one with `dask worker {address}`"
            ) from error
        executor = client.get_executor(pure=False)
        yield _TranscriptionPool(executor, MAX_CLIPS_IN_FLIGHT_ON_CLUSTER, is_remote=True)


def _check_cluster_address(address: str) -> None:
    """Check that `address` can be that of a scheduler; with another one, Dask would fail late and with a long message.

    Raises:
        UsageError: the address has no host or no port.
    """
    try:
        url = urlsplit(address if "://" in address else f"tcp://{address}")
        is_complete = bool(url.scheme in CLUSTER_PROTOCOLS and url.hostname and url.port)
    except ValueError:  # the port is not a number
        is_complete = False
    if not is_complete:
        raise UsageError(f"{address!r} is not the address of a Dask scheduler: write it like tcp://HOST:8786")


def _transcribe_all(
    pool: _TranscriptionPool, asr: Asr, clips: Iterable[AudioClip]
) -> Iterator[tuple[AudioClip, Transcription]]:
    """Yield clips with their transcriptions as they are finished; the pool limits the number of clips in flight."""
    asr_id, waiting = asr.id, iter(clips)
    in_flight: dict[Future[Transcription], AudioClip] = {}
    while True:
        with _start_processes_ignoring_interrupts():
            for clip in islice(waiting, pool.max_clips_in_flight - len(in_flight)):
                audio = clip.read() if pool.is_remote else clip
                in_flight[
                    pool.executor.submit(_transcribe_clip, asr_id, asr, audio, clip.audio_facts, clip.language)
                ] = clip
        if not in_flight:
            return
        for done in wait(in_flight, return_when=FIRST_COMPLETED).done:
            yield in_flight.pop(done), done.result()


@contextlib.contextmanager
def _start_processes_ignoring_interrupts() -> Iterator[None]:
    # A new process inherits the signal mask, so that Ctrl-C never reaches it, not even while it
    # loads its model: this process ends it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _defer_interrupts():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def _defer_interrupts() -> Iterator[None]:
    # The mask holds for this thread only. Another thread may take the signal, which Python then
    # raises in the main thread, possibly between the start of a process and its first task.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)


_asr_engine_by_id: dict[str, Asr] = {}
"""The ASR engines of this process by id; they are kept so that each loads its model once."""
_transcription_lock = threading.Lock()
"""Lock for transcribing, because a Dask worker has several threads and an ASR engine transcribes one clip at a time."""


def _transcribe_clip(
    asr_id: str, asr: Asr, audio: AudioClip | bytes, audio_facts: AudioFacts, language: str
) -> Transcription:
    data = audio.read() if isinstance(audio, AudioClip) else audio
    with _transcription_lock:
        return transcribe_audio(
            _asr_engine_by_id.setdefault(asr_id, asr), EncodedAudio.from_facts(data, audio_facts), language
        )
