"""Connects to a Dask cluster whose workers transcribe, and finds those with a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from voicegauge.errors import MissingExtraError, UnreachableError, UsageError
from voicegauge.speech.asr import is_gpu_available

CLUSTER_PROTOCOLS = ("tcp", "tls", "ws", "wss")
CLUSTER_CONNECT_TIMEOUT_S = 10.0
CLUSTER_WORKER_TIMEOUT_S = 10.0
"""Maximum time until a cluster has a worker; without one, its scheduler would keep the clips for ever."""


@contextlib.contextmanager
def connect_to_cluster(address: str) -> Iterator[Any]:
    """Connect to the Dask scheduler at `address`, and yield the client as soon as the cluster has a worker.

    Raises:
        MissingExtraError: Dask is not installed.
        UsageError: the address has no host or no port.
        UnreachableError: no scheduler responds, or it has no worker.
    """
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
        yield client


def find_gpu_workers(client: Any) -> list[str]:
    """Return the addresses of the workers whose torch finds a GPU."""
    return sorted(address for address, has_gpu in client.run(is_gpu_available).items() if has_gpu)


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
