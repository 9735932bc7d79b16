"""Transcribes clips in parallel, in isolated processes of this machine or on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from voicegauge.errors import DataError, MissingExtraError, UnreachableError, UsageError
from voicegauge.files import read_file
from voicegauge.model.run import Run
from voicegauge.model.sample import AudioFacts, Sample
from voicegauge.speech.asr_engines import is_gpu_available, move_to_gpu
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.containers import suppress_decoder_stderr
from voicegauge.speech.transcripts import Asr, TranscriptCache, Transcription, transcribe_audio_batch

CLUSTER_PROTOCOLS = ("tcp", "tls", "ws", "wss")
"""Protocols in addresses of schedulers that other machines can reach."""
CLUSTER_CONNECT_TIMEOUT_S = 10.0
"""Time in which the scheduler of a cluster must respond, in seconds."""
CLUSTER_WORKER_TIMEOUT_S = 10.0
"""Maximum time until a cluster has a worker, in seconds; a scheduler without workers would keep the clips forever."""


class ClusterConnection:
    """A connection to a Dask cluster, which is opened when it is first needed and closed with its context."""

    def __init__(self, address: str) -> None:
        """Prepare a connection, which is not opened yet.

        Args:
            address: address of the Dask scheduler.
        """
        self.address = address
        self._resources = contextlib.ExitStack()
        self._missing_since_s: float | None = None
        """Since when the workers are missing, by the monotonic clock; `None` if they are present."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._resources.close()

    @functools.cached_property
    def client(self) -> Any:
        """The client of the cluster. The first access opens the connection, and waits until the cluster has a worker.

        Raises:
            MissingExtraError: Dask is not installed.
            UsageError: the address has no host or no port.
            UnreachableError: no scheduler responds, or it has no worker.
        """
        return self._resources.enter_context(_connect_to_cluster(self.address))

    @functools.cached_property
    def gpu_worker_addresses(self) -> list[str]:
        """The addresses of the workers whose torch found a GPU.

        Raises:
            VoicegaugeError: the cluster cannot be used; see `client`.
        """
        return sorted(address for address, has_gpu in self.client.run(is_gpu_available).items() if has_gpu)

    def check_workers(self, worker_addresses: Collection[str]) -> None:
        """Check that the cluster still has a worker; a worker that is restarted has time to come back.

        Args:
            worker_addresses: the workers that may be used; empty for any worker.

        Raises:
            UnreachableError: the cluster has had none of these workers for `CLUSTER_WORKER_TIMEOUT_S`.
        """
        present = self.client.ncores()
        if any(address in present for address in worker_addresses) if worker_addresses else present:
            self._missing_since_s = None
            return
        now_s = time.monotonic()
        self._missing_since_s = now_s if self._missing_since_s is None else self._missing_since_s
        if now_s - self._missing_since_s >= CLUSTER_WORKER_TIMEOUT_S:
            raise self.build_lost_workers_error()

    def build_lost_workers_error(self) -> UnreachableError:
        """Return the error for workers that disappeared while they transcribed."""
        return UnreachableError(
            f"the Dask cluster at {self.address} lost its workers, perhaps out of memory: start them again, "
            "then the same command of voicegauge score goes on with what is not transcribed yet"
        )

    @contextlib.contextmanager
    def report_lost_workers(self) -> Iterator[None]:
        """Convert the errors that Dask raises if workers or the scheduler disappear into one error of voicegauge.

        Raises:
            UnreachableError: the workers or the scheduler disappeared.
        """
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError

        try:
            yield
        except (KilledWorker, FutureCancelledError, CancelledError, CommClosedError) as error:
            raise self.build_lost_workers_error() from error


@contextlib.contextmanager
def _connect_to_cluster(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise MissingExtraError("Dask", "dask") from error
    check_cluster_address(address)
    with silence_loggers("distributed", "tornado", "asyncio"):
        try:
            client_class: Any = Client
            # A program that uses voicegauge may have a default client of its own.
            client = client_class(address, timeout=CLUSTER_CONNECT_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"no Dask scheduler responds at {address}: write it like tcp://HOST:8786") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=CLUSTER_WORKER_TIMEOUT_S)
            except TimeoutError as error:
                raise UnreachableError(
                    f"the Dask cluster at {address} has no worker: start one with `dask worker {address}`"
                ) from error
            yield client


@contextlib.contextmanager
def silence_loggers(*packages: str) -> Iterator[None]:
    """Suppress the log lines of packages while the context lasts: what matters to the user is reported as one error."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in packages]
    silenced = [logger for logger in map(logging.getLogger, names) if not logger.disabled]
    for logger in silenced:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in silenced:
            logger.disabled = False


def check_cluster_address(address: str) -> None:
    """Check that `address` can be the address of a scheduler, because Dask would fail late, with a long error message.

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


# Spawns worker processes that import neither the caller's script nor modules in the current folder.


class _IsolatedProcess(SpawnProcess):
    """A spawned process that does not run the main module of its parent again.

    `multiprocessing` imports the parent's script in each worker. If that script has no `if __name__ == "__main__"`,
    the workers would run the benchmark again, and a live benchmark would be paid for again.
    """

    def start(self) -> None:
        """Start the process."""
        with _hide_main_module_from_children():
            super().start()


@contextmanager
def exclude_current_folder_from_import_path() -> Iterator[None]:
    """Keep the current folder out of the import path of all Python processes that are started in this context.

    The folder may be a stranger's repository, and `multiprocessing` imports its own modules in a new process before it
    sets the import path of the parent.
    """
    variable = "PYTHONSAFEPATH"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


class IsolatedSpawnContext(SpawnContext):
    """A `multiprocessing` context whose processes do not import the caller's script."""

    Process = _IsolatedProcess


@contextmanager
def _hide_main_module_from_children() -> Iterator[None]:
    """Replace the main module, while the context lasts, by an empty module that has no file to import."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


# Transcribes clips in parallel, in processes of this machine or on a Dask cluster.


MAX_CLIPS_IN_FLIGHT_ON_CLUSTER = 64
"""Maximum number of clips in flight on a cluster: enough for many workers, but not too many for its memory."""
WORKER_CHECK_INTERVAL_S = 2.0
"""Time without a result, in seconds, after which a pool checks that its cluster still has workers."""
TranscriptionProgressReporter = Callable[[int, int], None]
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
    """What was measured of the file, with its digest."""
    language: str
    """Language in which the file is transcribed."""

    @classmethod
    def of_sample(cls, run_folder: Path, sample: Sample) -> AudioClip:
        """Return the clip of a sample with audio.

        Raises:
            DataError: the run names a file outside its folder.
        """
        assert sample.audio is not None, "the caller selects samples with audio"
        path = (run_folder / sample.audio.file_path).resolve()
        if not path.is_relative_to(run_folder.resolve()):
            raise DataError(f"{run_folder}: the run names an audio file outside its folder: {sample.audio.file_path}")
        return cls(path, sample.audio, sample.language)

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


def list_delivered_clips(run_folder: Path, run: Run) -> list[tuple[Sample, AudioClip]]:
    """Return the samples that delivered audio, with their clips; warm-up samples and failed ones are left out.

    Raises:
        DataError: the run names a file outside its folder.
    """
    return [
        (sample, AudioClip.of_sample(run_folder, sample))
        for sample in run.samples
        if sample.is_counted and sample.failure is None and sample.audio is not None
    ]


TranscriptionsByCacheKey = dict[TranscriptCacheKey, Transcription]
"""Transcriptions by `AudioClip.cache_key`."""


def move_to_gpu_if_available(asr: Asr, cluster: ClusterConnection | None) -> Asr:
    """Return `asr` configured for a GPU, if it can use one and this machine or a worker of the cluster has one.

    Otherwise `asr` is returned unchanged. Without a cluster (`None`), only this machine counts.

    Raises:
        VoicegaugeError: the cluster cannot be used; see `ClusterConnection.client`.
    """
    on_gpu = move_to_gpu(asr)
    if on_gpu is asr:
        return asr
    if cluster is None:
        return on_gpu if is_gpu_available() else asr
    return on_gpu if cluster.gpu_worker_addresses else asr


def transcribe_clips(
    asr: Asr,
    clips: Iterable[AudioClip],
    *,
    workers: int,
    cluster: ClusterConnection | None = None,
    report_progress: TranscriptionProgressReporter | None = None,
) -> TranscriptionsByCacheKey:
    """Return the transcriptions of `clips`, from the cache if it has them; new ones are added to the cache.

    Args:
        asr: ASR engine that is sent to the processes; each process loads the model once.
        clips: audio files; files with equal content are transcribed once.
        workers: number of processes on this machine.
        cluster: Dask cluster whose workers are used instead; `None` for this machine.
        report_progress: called at the start and after each group of clips; `None` for no reports. Without a GPU, each
            group has one clip.

    Raises:
        DataError: a clip is missing or was changed.
        UsageError: a process was killed or crashed, or the memory of the GPU is too small.
        MissingExtraError: a cluster is given, but Dask is not installed.
        UnreachableError: no scheduler of `cluster` responds, it has no worker, or its workers disappeared.
    """
    unique = {clip.cache_key: clip for clip in clips}
    cache = TranscriptCache(asr.id, asr.settings)
    transcripts = {key: cached for key in unique if (cached := cache.get(*key)) is not None}
    remaining = [clip for key, clip in unique.items() if key not in transcripts]
    if report_progress:
        report_progress(len(transcripts), len(unique))
    _check_clip_files(remaining)  # reports a damaged file now, not after an hour of transcribing
    if not remaining:
        return transcripts
    groups = list(_group_clips(remaining, asr.clips_per_batch))
    with open_process_pool(min(workers, len(groups))) if cluster is None else _open_cluster_pool(asr, cluster) as pool:
        for clips_of_group, transcriptions in call_in_pool(
            pool, _transcribe_group, _iterate_transcribing_tasks(pool, asr, groups)
        ):
            for clip, transcription in zip(clips_of_group, transcriptions, strict=True):
                transcripts[clip.cache_key] = transcription
                cache.put(*clip.cache_key, transcription)
            if report_progress:
                report_progress(len(transcripts), len(unique))
    return transcripts


def _check_clip_files(clips: Sequence[AudioClip]) -> None:
    missing = [clip.path for clip in clips if not clip.path.exists()]
    if missing:
        files = "1 audio file is" if len(missing) == 1 else f"{len(missing)} audio files are"
        raise DataError(
            f"{missing[0]}: {files} missing, so nothing was scored: restore {missing[0].parent}, or measure again"
        )
    for clip in clips:
        clip.read()


class WorkerPool(NamedTuple):
    """Processes that work on clips, on this machine or on others."""

    executor: Executor
    max_groups_in_flight: int
    """Maximum number of groups of clips in flight."""
    is_remote: bool
    """Whether the pool's processes run on other machines and cannot read this machine's files."""
    check_workers: Callable[[], None] | None = None
    """Raises an error if all processes have disappeared; `None` for a pool that reports that itself."""


@contextlib.contextmanager
def open_process_pool(workers: int) -> Iterator[WorkerPool]:
    """Yield a pool of `workers` processes on this machine, which end with the context.

    Raises:
        UsageError: a process was killed or crashed.
    """
    with exclude_current_folder_from_import_path():
        # Spawned, because forking a process with threads can deadlock.
        executor = ProcessPoolExecutor(workers, mp_context=IsolatedSpawnContext(), initializer=_prepare_worker)
        try:
            # Two groups for each process, so that none waits for its next one.
            yield WorkerPool(executor, 2 * workers, is_remote=False)
        except BrokenProcessPool as error:
            raise UsageError(
                "a transcribing process died, perhaps out of memory: use --workers 1 or a smaller model"
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)  # after Ctrl-C too, waits only for the clips being transcribed


def _prepare_worker() -> None:
    """Suppress the messages of audio decoders in a new worker process, and let the process exit if its parent exits."""
    suppress_decoder_stderr()
    # Of openai-whisper, if there is a GPU: the embedded Whisper is so small that it stays on the processor.
    warnings.filterwarnings("ignore", message="Performing inference on CPU")
    threading.Thread(target=_exit_when_parent_exits, daemon=True).start()


def _exit_when_parent_exits() -> None:
    # A killed parent cannot end its workers, and they would wait for the next clip forever.
    parent = multiprocessing.parent_process()
    assert parent is not None, "only called in a worker"
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def _open_cluster_pool(asr: Asr, cluster: ClusterConnection) -> Iterator[WorkerPool]:
    groups_in_flight, gpu_workers = MAX_CLIPS_IN_FLIGHT_ON_CLUSTER, list[str]()
    if asr.clips_per_batch > 1:  # all on GPUs, so that one run has transcripts of one kind of device
        gpu_workers = cluster.gpu_worker_addresses
        groups_in_flight = max(2 * len(gpu_workers), groups_in_flight // asr.clips_per_batch)
    # For pure functions Dask computes a digest of the audio, to find equal calls; equal clips were already found.
    executor = cluster.client.get_executor(pure=False, **({"workers": gpu_workers} if gpu_workers else {}))
    with cluster.report_lost_workers():
        yield WorkerPool(executor, groups_in_flight, True, lambda: cluster.check_workers(gpu_workers))


def _group_clips(clips: Iterable[AudioClip], clips_per_group: int) -> Iterator[Sequence[AudioClip]]:
    """Yield groups of at most `clips_per_group` clips, each of clips in one language."""
    clips_by_language = defaultdict(list)
    for clip in clips:
        clips_by_language[clip.language].append(clip)
    for clips_of_language in clips_by_language.values():
        for start in range(0, len(clips_of_language), clips_per_group):
            yield clips_of_language[start : start + clips_per_group]


def _iterate_transcribing_tasks(
    pool: WorkerPool, asr: Asr, groups: Iterable[Sequence[AudioClip]]
) -> Iterator[tuple[Sequence[AudioClip], tuple[Any, ...]]]:
    """Yield groups of clips with the arguments of `_transcribe_group`; files are read when their turn comes."""
    asr_id = asr.id
    for group in groups:
        files = [clip.read() if pool.is_remote else clip for clip in group]
        yield group, (asr_id, asr, files, [clip.audio_facts for clip in group], group[0].language)


TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def call_in_pool(
    pool: WorkerPool, function: Callable[..., ResultT], tasks: Iterable[tuple[TaskT, tuple[Any, ...]]]
) -> Iterator[tuple[TaskT, ResultT]]:
    """Call a function in the processes of a pool, and yield each task with its result as it is finished.

    Args:
        pool: the processes, which limit the number of tasks in flight.
        function: called once for each task.
        tasks: what identifies each task, and the arguments of the call; read as late as possible.
    """
    waiting, in_flight = iter(tasks), dict[Future[ResultT], TaskT]()
    while True:
        with start_processes_ignoring_interrupts():
            for task, arguments in islice(waiting, pool.max_groups_in_flight - len(in_flight)):
                in_flight[pool.executor.submit(function, *arguments)] = task
        if not in_flight:
            return
        timeout_s = None if pool.check_workers is None else WORKER_CHECK_INTERVAL_S
        ended = wait(in_flight, timeout=timeout_s, return_when=FIRST_COMPLETED).done
        if pool.check_workers is not None and not ended:
            pool.check_workers()
        for done in ended:
            yield in_flight.pop(done), done.result()


@contextlib.contextmanager
def start_processes_ignoring_interrupts() -> Iterator[None]:
    """Let the processes that are started in this context ignore Ctrl-C."""
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
    """Delay Ctrl-C until the end of the context if it is in the main thread."""
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


_asr_engine_by_id_and_batch_size: dict[tuple[str, int], Asr] = {}
"""The ASR engines of this process by id and batch size; they are kept so that each loads its model once."""
_transcription_lock = threading.Lock()
"""Lock for transcribing, because a Dask worker has several threads and an engine transcribes one group at a time."""


def _transcribe_group(
    asr_id: str,
    asr: Asr,
    clips_or_file_contents: Sequence[AudioClip | bytes],
    audio_facts: Sequence[AudioFacts],
    language: str,
) -> list[Transcription]:
    contents = [file.read() if isinstance(file, AudioClip) else file for file in clips_or_file_contents]
    audios = [EncodedAudio.from_facts(data, facts) for data, facts in zip(contents, audio_facts, strict=True)]
    with _transcription_lock:
        # Every task arrives with an engine of its own without a model; the first one loads it and is kept.
        engine = _asr_engine_by_id_and_batch_size.setdefault((asr_id, asr.clips_per_batch), asr)
        try:
            return transcribe_audio_batch(engine, audios, language)
        except RuntimeError as error:
            if not _is_gpu_memory_full(error):
                raise
            raise UsageError(
                f"the memory of the GPU is too small for {asr_id}: end what else uses it, use --workers 1 or a smaller "
                "model, or set CUDA_VISIBLE_DEVICES to an empty text, which leaves the processor"
            ) from error


def _is_gpu_memory_full(error: RuntimeError) -> bool:
    # torch has a class of its own only for what its allocator asks for, not for what the driver and cuBLAS need.
    return any(words in str(error) for words in ("CUDA out of memory", "CUDA error: out of memory", "_ALLOC_FAILED"))
