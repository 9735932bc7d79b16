"""A Dask cluster of real processes, whose workers have keys that this process does not have."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from voicegauge.bench.places import find_places


class Cluster:
    """A scheduler and workers that are added to it."""

    def __init__(self, folder: Path) -> None:
        """Keep logs and states of the processes in `folder`."""
        self.folder = folder
        self.address = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _start(self, module: str, *arguments: str, name: str = "", **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name or 'scheduler'}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--dashboard-address", "127.0.0.1:0"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "VOICEGAUGE_STATE": str(self.folder / name), **environment},
            )

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait for its address."""
        address_file = self.folder / "scheduler.json"
        self.processes[""] = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(address_file)
        )
        while not (address_file.exists() and address_file.read_text().strip()):
            time.sleep(0.05)
        self.address = msgspec.json.decode(address_file.read_bytes())["address"]

    def start_worker(self, name: str, *, has_nanny: bool = False, **environment: str) -> None:
        """Start a worker, whose nanny starts it again if it has one."""
        nanny = () if has_nanny else ("--no-nanny",)
        self.processes[name] = self._start(
            "dask_worker", self.address, "--name", name, *nanny, "--nthreads", "1", name=name, **environment
        )

    def wait_for_workers(self, count: int) -> None:
        """Wait until a number of places has workers."""

        async def wait() -> None:
            while len(await find_places(self.address)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        asyncio.run(wait())

    def find_worker_process(self, name: str) -> int:
        """Return the process id of a worker, which is not that of its nanny."""

        async def ask() -> int:
            from distributed import Client

            async with Client(self.address, asynchronous=True, set_as_default=False) as client:
                workers = (await client.scheduler.identity())["workers"]
                address = next(address for address, facts in workers.items() if facts["name"] == name)
                found: dict[str, int] = await client.run(os.getpid, workers=[address])
                return found[address]

        return asyncio.run(ask())

    def stop(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.terminate()  # so that a nanny ends its worker too
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def running_cluster(folder: Path, **key_prefixes: str) -> Iterator[Cluster]:
    """Yield a cluster with the workers rome-1 and oslo-1.

    Args:
        folder: folder of logs and states.
        key_prefixes: environment variables of the workers; the place follows each value.
    """
    cluster = Cluster(folder)
    try:
        cluster.start_scheduler()
        for place in ("rome", "oslo"):
            cluster.start_worker(f"{place}-1", **{name: prefix + place for name, prefix in key_prefixes.items()})
        cluster.wait_for_workers(2)
        yield cluster
    finally:
        cluster.stop()
