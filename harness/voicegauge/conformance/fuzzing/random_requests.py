"""Random requests inside and just outside a schema, and the smallest one that breaks a rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import hypothesis
import msgspec
from hypothesis import strategies as st

from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases import (
    BoundaryValue,
    accepts_any_valid_value,
    is_valid_body,
    valid_speech_request,
    with_value,
)
from voicegauge.conformance.fuzzing.reproduction import ExpectedVerdict, request_case, with_request_test
from voicegauge.conformance.fuzzing.search import FuzzEffort, Make, RuleSearch, Test
from voicegauge.conformance.fuzzing.strategies import fields, inside, outside
from voicegauge.conformance.running import CaseRunner, Collector
from voicegauge.contract import Target
from voicegauge.contract.extension import FieldMapping


class RandomRequest(NamedTuple):
    """A request, and in words what is special about it."""

    wire: RequestParts
    description: str

    def __repr__(self) -> str:
        """In words alone: Hypothesis writes down what fails, and there may be a file in it."""
        return self.description


async def fuzz_target(target: Target, runner: CaseRunner, collector: Collector, effort: FuzzEffort) -> None:
    """Send random requests to the operation of `target`; findings go to the runner's collector.

    Args:
        target: whose constants and needed words stay as they are.
        runner: sends and judges.
        collector: is told of targets that cannot be fuzzed.
        effort: so many examples inside the schema, and as many outside.

    Raises:
        BudgetError: the next request costs more than is left.
        TransportError: the service is away.
    """
    wire = map_speech_request(target, valid_speech_request(target))
    media = target.operation.request_media.get(wire.media_type or "")
    if media is None or not isinstance(media.schema, dict) or not is_valid_body(target.operation, wire):
        collector.not_planned(f"{target.id}: fuzzing", "no valid body to start from")
        return
    kinds: tuple[tuple[ExpectedVerdict, st.SearchStrategy[RandomRequest]], ...] = (
        ("accepted", inside_requests(target, wire)),
        ("rejected", outside_requests(target, wire)),
    )
    for expect, requests in kinds:
        search = RuleSearch(runner, effort.below(target.operation.id, expect))
        await search.run(_test(target, runner, search, requests, expect))


def _test(
    target: Target,
    runner: CaseRunner,
    search: RuleSearch,
    requests: st.SearchStrategy[RandomRequest],
    expect: ExpectedVerdict,
) -> Make:
    def send(drawn: RandomRequest) -> None:
        case = request_case(target, drawn.wire, expect, drawn.description)
        answered = search.ask(runner.probe(case))
        search.judge(with_request_test(answered.findings, target, case))

    def make(settings: hypothesis.settings, seed: int) -> Test:
        test: Test = settings(hypothesis.seed(seed)(hypothesis.given(requests)(send)))
        return test

    return make


def inside_requests(target: Target, wire: RequestParts) -> st.SearchStrategy[RandomRequest]:
    """Valid bodies: some optional fields and the text drawn anew, what names things left as it is."""
    schemas = target.contract.schemas
    media = target.operation.request_media[wire.media_type or ""]
    text = target.speech.request["text"]
    free: dict[str, st.SearchStrategy[Any]] = {}
    for name, schema in media.schema.get("properties", {}).items():
        if text.at.tokens == (name,):
            free[name] = _texts(text, inside(schemas, schema))
        elif accepts_any_valid_field(target, name, schema):
            free[name] = inside(schemas, schema)
    of_fields = fields({}, free)

    @st.composite
    def made(draw: st.DrawFn) -> RandomRequest:
        drawn = _laid_over(wire, of_fields(draw))
        hypothesis.assume(is_valid_body(target.operation, drawn.wire))
        return drawn

    return made()


def _texts(slot: FieldMapping, drawn: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Texts for the place of the text, with something to say: whether blanks alone are spoken is not documented.

    Behind what a template adds only plain words are drawn.
    """
    if slot.template == "{}":
        return drawn.filter(_says_something)
    words = st.text("abc ,.", min_size=1).filter(_says_something)
    return words.map(lambda said: slot.template.replace("{}", said))


def _says_something(text: Any) -> bool:
    return isinstance(text, str) and any(character.isalnum() for character in text)


def accepts_any_valid_field(target: Target, name: str, schema: Any) -> bool:
    """Whether any value that fits the schema should be accepted for the field `name`."""
    schema, pointer = target.contract.schemas.resolve(schema)
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "enum" not in schema and not set(kinds) <= {"boolean", "integer", "number"}:
        return False
    value = schema.get("enum", [True])[0]
    return accepts_any_valid_value(target, BoundaryValue((name,), value, name, f"{pointer}/enum", valid=True))


def _laid_over(wire: RequestParts, drawn: dict[str, Any]) -> RandomRequest:
    laid_over = msgspec.structs.replace(wire, body={**wire.body, **drawn})
    return RandomRequest(laid_over, f"a random valid request ({', '.join(drawn) or 'nothing changed'})")


def outside_requests(target: Target, wire: RequestParts) -> st.SearchStrategy[RandomRequest]:
    """Bodies that are broken in one place."""
    media = target.operation.request_media[wire.media_type or ""]
    pointer = media.schema_pointer or media.pointer
    broken = outside(target.contract.schemas, media.schema, pointer)

    @st.composite
    def made(draw: st.DrawFn) -> RandomRequest:
        probe = draw(broken)
        drawn = RandomRequest(with_value(wire, probe.path, probe.value), probe.description)
        hypothesis.assume(not is_valid_body(target.operation, drawn.wire))
        return drawn

    return made()
