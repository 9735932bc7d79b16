"""Connects to a Dask cluster, whose workers transcribe or measure."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Collection, Iterator
from concurrent.futures import CancelledError
from typing import Any, Self
from urllib.parse import urlsplit

from voicegauge.errors import MissingExtraError, UnreachableError, UsageError
from voicegauge.speech.whisper import is_gpu_available

CLUSTER_PROTOCOLS = ("tcp", "tls", "ws", "wss")
CLUSTER_CONNECT_TIMEOUT_S = 10.0
CLUSTER_WORKER_TIMEOUT_S = 10.0
"""Maximum time until a cluster has a worker; without one, its scheduler would keep the clips for ever."""


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
        yield from _open_client(Client, address)


def _open_client(client_class: Any, address: str) -> Iterator[Any]:
    try:
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
    """Check that `address` can be the address of a scheduler. Otherwise Dask would fail late, with a long message.

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
