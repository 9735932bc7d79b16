"""Runs the tests nearest to each mutant in a forked process: a plugin of pytest.

The tests are collected and measured once. Each mutant gets a forked process, in which the code of the changed function
is replaced wherever the function was imported. It runs the tests that execute the changed lines, those first that
killed other mutants of the same function, then those that execute the fewest other lines, until one fails.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Literal, NamedTuple

import pytest
from _pytest.runner import runtestprotocol

from own_mutants.derivation import Function, Mutant
from own_mutants.measuring import measure_tests
from own_mutants.processes import fork

Outcome = Literal["killed", "survived", "timeout", "not executed"]

MAX_TEST_S = 1.0
"""CPU time of the slowest tests that are run."""
MAX_TESTS_S = 6.0
"""CPU time of all tests that are run for one mutant, without the change."""
_GRACE_S, _FACTOR = 5, 10
"""CPU time that a test may take with a mutant: so many seconds, and so many times what it takes without a change."""
_WAIT_S = 60
"""Time that a test may take with a mutant while it waits."""
_MEMORY_BYTES = 4 << 30
"""Memory that a process with a mutant may take in addition."""


_LAZY_IMPORTS = ("av", "jinja2", "openapi_spec_validator", "scipy.stats", "uvicorn")
"""Packages that voicegauge imports when it needs them, which takes longer than most tests. They are imported once for
all processes."""


class Result(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    outcome: Outcome
    test: str | None
    """The test that failed; `None` if none did."""


class _Test(NamedTuple):
    item: pytest.Item
    seconds: float
    line_count: int
    """Number of lines that the test executes in all modules: the fewer, the nearer it is to each."""


class MutantRunner:
    """The plugin. Instead of the tests, it runs the mutants."""

    def __init__(
        self,
        root: Path,
        modules: Sequence[str],
        mutants: Sequence[Mutant],
        *,
        jobs: int,
        measurements: Path,
        on_result: Callable[[Result], None],
    ) -> None:
        """Run `mutants`, `jobs` at the same time.

        Args:
            root: the repository.
            modules: the modules that are mutated in this run or others, relative to the repository.
            mutants: the mutants to run.
            jobs: number of processes.
            measurements: file in which measurements of tests are kept.
            on_result: called with each result as soon as it is known.
        """
        self._root, self._modules, self._mutants, self._jobs = root, modules, mutants, jobs
        self._measurements, self._on_result = measurements, on_result
        self._tests: dict[str, dict[int, list[_Test]]] = defaultdict(lambda: defaultdict(list))
        self._kills: dict[Function, Counter[str]] = defaultdict(Counter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Measure the tests, then run the mutants."""
        self._measure_tests(session.items)
        for module in _LAZY_IMPORTS:
            importlib.import_module(module)
        live = _LiveFunctions(self._root, self._modules)
        running: dict[int, tuple[Mutant, int]] = {}
        for mutant in self._mutants:
            tests, functions = self._nearest_tests(mutant), live.find(mutant.function)
            if not tests or not functions:
                self._on_result(Result(mutant, "not executed", None))
                continue
            pid, pipe = fork(lambda pipe, m=mutant, t=tests, f=functions: _run_mutant(m, f, t, pipe))  # type: ignore[misc]
            running[pid] = (mutant, pipe)
            if len(running) == self._jobs:
                self._wait_for_one(running)
        while running:
            self._wait_for_one(running)
        return True

    def _measure_tests(self, items: Sequence[pytest.Item]) -> None:
        by_name = {item.nodeid: item for item in items}
        measured = measure_tests(self._root, items, self._modules, self._measurements)
        for one in measured:
            if one.passed and one.seconds <= MAX_TEST_S:
                test = _Test(by_name[one.test], one.seconds, sum(map(len, one.lines.values())))
                for module, numbers in one.lines.items():
                    for number in numbers:
                        self._tests[module][number].append(test)
        slow, failed = sum(one.seconds > MAX_TEST_S for one in measured), sum(not one.passed for one in measured)
        print(f"{len(items)} tests; {slow} slow and {failed} failing ones are left out", file=sys.stderr)

    def _nearest_tests(self, mutant: Mutant) -> list[_Test]:
        by_line, kills = self._tests[mutant.function.module], self._kills[mutant.function]
        first, last = mutant.lines
        tests = {test.item.nodeid: test for line in range(first, last + 1) for test in by_line[line]}
        if not tests:  # a line such as `else:` is not executed by itself
            lines = range(mutant.function.first_line + 1, mutant.function.last_line + 1)
            tests = {test.item.nodeid: test for line in lines for test in by_line[line]}
        chosen, total_s = [], 0.0
        for test in sorted(tests.values(), key=lambda test: (-kills[test.item.nodeid], test.line_count)):
            total_s += test.seconds
            if total_s > MAX_TESTS_S:
                break
            chosen.append(test)
        return chosen

    def _wait_for_one(self, running: dict[int, tuple[Mutant, int]]) -> None:
        pid, status = os.wait()
        if pid not in running:
            return
        mutant, pipe = running.pop(pid)
        with os.fdopen(pipe, "rb") as stream:
            test = stream.read().decode() or None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what the tests started
        if test is not None:
            self._kills[mutant.function][test] += 1
        outcome: Outcome = "survived" if status == 0 else "killed" if test is not None else "timeout"
        self._on_result(Result(mutant, outcome, test))


class _LiveFunctions:
    """The functions of the chosen modules as they were imported."""

    def __init__(self, root: Path, modules: Iterable[str]) -> None:
        files = {str(root / module): module for module in modules}
        self._functions: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
        gc.unfreeze()  # a frozen object is not listed
        for one in gc.get_objects():
            if isinstance(one, FunctionType) and one.__code__.co_filename in files:
                self._functions[files[one.__code__.co_filename], one.__code__.co_qualname].append(one)
        gc.freeze()

    def find(self, function: Function) -> list[FunctionType]:
        return [
            one
            for one in self._functions[function.module, function.name]
            if function.first_line <= one.__code__.co_firstlineno <= function.last_line
        ]


def _run_mutant(mutant: Mutant, functions: Sequence[FunctionType], tests: Sequence[_Test], pipe: int) -> None:
    for limit, amount in ((resource.RLIMIT_AS, _used_memory() + _MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (amount, resource.getrlimit(limit)[1]))
    for signal_number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(signal_number, signal.SIG_DFL)
    for function in functions:
        replace_code(function, mutant)
    for test, following in zip(tests, [*tests[1:], None], strict=True):
        signal.setitimer(signal.ITIMER_PROF, _GRACE_S + _FACTOR * test.seconds)
        signal.setitimer(signal.ITIMER_REAL, _WAIT_S + _FACTOR * test.seconds)
        reports = runtestprotocol(test.item, log=False, nextitem=following.item if following else None)
        if any(report.failed for report in reports):
            os.write(pipe, test.item.nodeid.encode())
            os._exit(1)


def _used_memory() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def replace_code(function: FunctionType, mutant: Mutant) -> None:
    """Replace the code and the constant defaults of a function, so that all who imported it call the mutant."""
    arguments = mutant.definition.args
    function.__code__ = mutant.code.replace(co_filename=function.__code__.co_filename)
    if function.__defaults__:
        pairs = zip(arguments.defaults, function.__defaults__, strict=True)
        function.__defaults__ = tuple(_constant(default, old) for default, old in pairs)
    if function.__kwdefaults__:
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is not None:
                function.__kwdefaults__[argument.arg] = _constant(default, function.__kwdefaults__[argument.arg])


def _constant(default: ast.expr, otherwise: object) -> object:
    return default.value if isinstance(default, ast.Constant) else otherwise
