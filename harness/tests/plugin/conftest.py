"""Runs pytest on a test file, as a user of the plugin does."""

from __future__ import annotations

import importlib
import pkgutil
import textwrap
from collections.abc import Callable

import pytest

import voicegauge

RunPytest = Callable[..., pytest.RunResult]
LAZILY_IMPORTED = (
    "allpairspy",
    "av.subtitles.stream",
    "hypothesis.stateful",
    "python_multipart",
    "soundfile",
    "soxr",
    "uvicorn.lifespan.off",
    "uvicorn.loops.asyncio",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.h11_impl",
)


@pytest.fixture(scope="session")
def imported_modules() -> None:
    """Import what an inner run may import: pytester removes such modules again, and two copies would be in use."""
    own = [found.name for found in pkgutil.walk_packages(voicegauge.__path__, "voicegauge.")]
    for name in (*LAZILY_IMPORTED, *(name for name in own if not name.endswith("__main__"))):
        importlib.import_module(name)


@pytest.fixture
def run_pytest(imported_modules: None, pytester: pytest.Pytester) -> RunPytest:
    """Write a test file and run pytest on it, warnings as errors.

    The run shares this process, which saves the imports, unless `isolated` asks for a process of its own.
    """

    def run(code: str, *arguments: str, isolated: bool = False) -> pytest.RunResult:
        pytester.makepyfile(textwrap.dedent(code))
        start = pytester.runpytest_subprocess if isolated else pytester.runpytest_inprocess
        return start("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:respx", *arguments)

    return run
