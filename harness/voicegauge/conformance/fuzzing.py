"""Random requests inside and just outside a schema, and the smallest one that breaks a rule."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from voicegauge.checks import Expected
from voicegauge.client import WireRequest, to_wire
from voicegauge.conformance.bodies import is_open
from voicegauge.conformance.cases import Case, statuses_for
from voicegauge.conformance.collecting import Collector
from voicegauge.conformance.probes import Probe
from voicegauge.conformance.requests import base_speech, fits, with_value
from voicegauge.conformance.running import Answered, Runner
from voicegauge.conformance.strategies import inside, outside
from voicegauge.contract import Target, parse_place
from voicegauge.contract.extension import Slot
from voicegauge.errors import BudgetError, NothingMeasuredError, TransportError, VoicegaugeError
from voicegauge.model import Finding, Severity

MAX_BUGS = 3
"""Rounds of search: after a find the search goes on for another rule that is broken."""


class _Broken(Exception):  # noqa: N818 - what Hypothesis shrinks
    """A request that broke a rule."""


async def fuzz_target(target: Target, runner: Runner, collector: Collector, *, examples: int, seed: int) -> None:
    """Send random requests to the operation of `target`; findings go to the runner's collector.

    Args:
        target: whose constants and needed words stay as they are.
        runner: sends and judges.
        collector: is told of targets that cannot be fuzzed.
        examples: so many inside the schema, and as many outside.
        seed: decides every request.

    Raises:
        BudgetError: the next request costs more than is left.
        TransportError: the service is away.
    """
    wire = to_wire(target, base_speech(target))
    media = target.operation.request_media.get(wire.media_type or "")
    if media is None or not isinstance(media.schema, dict) or not fits(target.operation, wire):
        collector.not_planned(f"{target.id}: fuzzing", "no valid body to start from")
        return
    loop = asyncio.get_running_loop()
    for valid, requests in (
        (True, inside_requests(target, wire)),
        (False, outside_requests(target, wire)),
    ):
        search = _Search(target, runner, loop, valid=valid)
        await asyncio.to_thread(search.run, requests, examples, seed)


def inside_requests(target: Target, wire: WireRequest) -> st.SearchStrategy[tuple[WireRequest, str]]:
    """Valid bodies: some optional fields and the text drawn anew, what names things left as it is."""
    schemas = target.contract.schemas
    media = target.operation.request_media[wire.media_type or ""]
    text = target.speech.request["text"]
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, schema in media.schema.get("properties", {}).items():
        if parse_place(text.at).tokens == [name]:
            fields[name] = _texts(text, inside(schemas, schema))
        elif is_open_field(target, name, schema):
            fields[name] = inside(schemas, schema)
    drawn_fields = st.fixed_dictionaries({}, optional=fields)
    return drawn_fields.map(lambda drawn: _laid_over(wire, drawn)).filter(lambda pair: fits(target.operation, pair[0]))


def _texts(slot: Slot, drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Texts for the place of the text, with something to say: whether blanks alone are spoken is not documented.

    Behind what a template adds only plain words are drawn.
    """
    if slot.template == "{}":
        return drawn.filter(_says_something)
    words = st.text("abc ,.", min_size=1).filter(_says_something)
    return words.map(lambda said: slot.template.replace("{}", said))


def _says_something(text: Any) -> bool:
    return isinstance(text, str) and any(character.isalnum() for character in text)


def is_open_field(target: Target, name: str, schema: Any) -> bool:
    """Whether any value that fits the schema should be accepted for the field `name`."""
    schema, pointer = target.contract.schemas.resolve(schema)
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "enum" not in schema and not set(kinds) <= {"boolean", "integer", "number"}:
        return False
    value = schema.get("enum", [True])[0]
    return is_open(target, Probe((name,), value, name, f"{pointer}/enum", valid=True))


def _laid_over(wire: WireRequest, drawn: dict[str, Any]) -> tuple[WireRequest, str]:
    for name, value in drawn.items():
        wire = with_value(wire, (name,), value)
    return wire, f"a random valid request ({', '.join(drawn) or 'nothing changed'})"


def outside_requests(target: Target, wire: WireRequest) -> st.SearchStrategy[tuple[WireRequest, str]]:
    """Bodies that are broken in one place."""
    media = target.operation.request_media[wire.media_type or ""]
    pointer = media.schema_pointer or media.pointer
    return (
        outside(target.contract.schemas, media.schema, pointer)
        .filter(lambda probe: bool(probe.path))
        .map(lambda probe: (with_value(wire, probe.path, probe.value), probe.says))
        .filter(lambda pair: not fits(target.operation, pair[0]))
    )


class _Search:
    """One search, in a thread of its own: Hypothesis calls, the event loop sends."""

    def __init__(self, target: Target, runner: Runner, loop: asyncio.AbstractEventLoop, *, valid: bool) -> None:
        self._target, self._runner, self._loop, self._valid = target, runner, loop, valid
        self._known: set[tuple[str, int | None]] = set()
        self._last: list[Finding] = []
        self._stopped: VoicegaugeError | None = None

    def run(self, requests: st.SearchStrategy[tuple[WireRequest, str]], examples: int, seed: int) -> None:
        """Search until nothing new is broken.

        Raises:
            BudgetError: the next request costs more than is left.
            TransportError: the service is away.
        """
        for _ in range(MAX_BUGS):
            test = self._test(requests, examples, seed)
            try:
                test()
            except _Broken:
                # Hypothesis runs the smallest request last.
                self._known |= {(finding.rule, finding.where.line) for finding in self._last}
                self._runner.keep(self._last)
                continue
            finally:
                if self._stopped is not None:
                    raise self._stopped
            break

    def _test(
        self, requests: st.SearchStrategy[tuple[WireRequest, str]], examples: int, seed: int
    ) -> Callable[[], None]:
        def once(pair: tuple[WireRequest, str]) -> None:
            hypothesis.assume(self._stopped is None)
            found = self._send(*pair)
            if found:
                self._last = found
                raise _Broken

        settings = hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        test: Callable[[], None] = hypothesis.seed(seed)(settings(hypothesis.given(requests)(once)))
        return test

    def _send(self, wire: WireRequest, says: str) -> list[Finding]:
        case = self._case(wire, says)
        try:
            answered: Answered = asyncio.run_coroutine_threadsafe(self._runner.probe(case), self._loop).result()
        except (BudgetError, TransportError) as error:
            self._stopped = error
            return []
        except concurrent.futures.CancelledError:
            # The check was interrupted: nothing more is sent, so that this thread ends.
            self._stopped = NothingMeasuredError("interrupted")
            return []
        return [
            finding
            for finding in answered.findings
            if finding.severity is Severity.ERROR and (finding.rule, finding.where.line) not in self._known
        ]

    def _case(self, wire: WireRequest, says: str) -> Case:
        operation = self._target.operation
        return Case(
            id=f"{operation.contract.id}/{operation.id}: fuzzing, {says}",
            provider=operation.contract.id,
            operation=operation.id,
            target=self._target.name,
            expected=Expected(
                verdict="accepted" if self._valid else "refused",
                statuses=() if self._valid else statuses_for(operation, "invalid"),
                why="valid" if self._valid else "invalid",
                says=says,
                at=f"{operation.pointer}/requestBody",
            ),
            wire=wire,
            text_characters=len(str(wire.body)),
        )
