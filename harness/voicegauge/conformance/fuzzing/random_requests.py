"""Sends random requests that fit or just break a schema, and shrinks those that break a rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import hypothesis
import msgspec
from hypothesis import strategies as st

from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases import (
    BoundaryValue,
    accepts_any_valid_value,
    build_valid_speech_request,
    is_valid_body,
    set_body_value,
)
from voicegauge.conformance.fuzzing.reproduction import add_request_test
from voicegauge.conformance.fuzzing.strategies import (
    build_invalid_value_strategy,
    build_object_draw_function,
    build_valid_value_strategy,
)
from voicegauge.conformance.fuzzing.violation_search import FuzzSettings, FuzzTest, FuzzTestFactory, ViolationSearch
from voicegauge.conformance.running import CaseRunner, ResultCollector
from voicegauge.conformance.single_request import ExpectedAcceptance, build_request_case
from voicegauge.contract import Target
from voicegauge.contract.extension import FieldMapping
from voicegauge.formats import Location, escape_pointer_token


class RandomRequest(NamedTuple):
    """A random request and its description."""

    request: RequestParts
    description: str

    def __repr__(self) -> str:
        """Return only the description: Hypothesis prints failing examples, and the request may contain a file."""
        return self.description


async def fuzz_target(
    target: Target, case_runner: CaseRunner, collector: ResultCollector, fuzz_settings: FuzzSettings
) -> None:
    """Send random requests to the operation of `target`; `case_runner` collects the findings.

    Args:
        target: the target. Its constants and the fields that it needs are not changed.
        case_runner: the runner that sends and judges requests.
        collector: the collector to which the target is added as not judged if it cannot be fuzzed.
        fuzz_settings: how long to search with valid requests, and then again with invalid ones.

    Raises:
        BudgetError: the next request costs more than is left in the budget.
        TransportError: the service cannot be reached.
    """
    request = map_speech_request(target, build_valid_speech_request(target))
    media = target.operation.request_media.get(request.media_type or "")
    if media is None or not isinstance(media.schema, dict) or not is_valid_body(target.operation, request):
        collector.add_skipped_result(f"{target.id}: fuzzing", "no valid body to start from")
        return
    kinds: list[tuple[ExpectedAcceptance, st.SearchStrategy[RandomRequest]]] = [
        ("accepted", build_valid_request_strategy(target, request))
    ]
    if isinstance(request.body, dict):  # a body that is one text cannot have another type
        kinds.append(("rejected", build_invalid_request_strategy(target, request)))
    for verdict, requests in kinds:
        violation_search = ViolationSearch(
            case_runner, fuzz_settings.copy_with_failures_subfolder(target.operation.id, verdict)
        )
        await violation_search.search_violations(
            _build_request_test(target, case_runner, violation_search, requests, verdict)
        )


def _build_request_test(
    target: Target,
    case_runner: CaseRunner,
    violation_search: ViolationSearch,
    request_strategy: st.SearchStrategy[RandomRequest],
    expected_acceptance: ExpectedAcceptance,
) -> FuzzTestFactory:
    def send_and_judge(random_request: RandomRequest) -> None:
        case = build_request_case(target, random_request.request, expected_acceptance, random_request.description)
        judged = violation_search.run_in_event_loop(case_runner.send_and_judge(case))
        violation_search.raise_if_new_errors(add_request_test(judged.findings, target, case))

    def build_round_test(settings: hypothesis.settings, seed: int) -> FuzzTest:
        test: FuzzTest = settings(hypothesis.seed(seed)(hypothesis.given(request_strategy)(send_and_judge)))
        return test

    return build_round_test


def build_valid_request_strategy(target: Target, request: RequestParts) -> st.SearchStrategy[RandomRequest]:
    """Return a strategy of valid requests in which the text and some optional fields are random.

    Fields that name something that must exist, such as a voice, are not changed.
    """
    schemas = target.contract.schemas
    media = target.operation.request_media[request.media_type or ""]
    text = target.speech.request_fields["text"]
    if text.location == Location("body"):
        bodies = _build_spoken_text_strategy(text, build_valid_value_strategy(schemas, media.schema))
        return bodies.map(
            lambda body: RandomRequest(msgspec.structs.replace(request, body=body), "a random valid request (text)")
        )
    free: dict[str, st.SearchStrategy[Any]] = {}
    root = schemas.resolve_reference(media.part_data.get("schema", {}), media.schema_pointer or "")[1]
    for name, schema in media.schema.get("properties", {}).items():
        if text.location.pointer_tokens == (name,):
            free[name] = _build_spoken_text_strategy(text, build_valid_value_strategy(schemas, schema))
        elif _accepts_any_valid_field(target, name, schema, f"{root}/properties/{escape_pointer_token(name)}"):
            free[name] = build_valid_value_strategy(schemas, schema)
    draw_fields = build_object_draw_function({}, free)

    @st.composite
    def draw_request(draw: st.DrawFn) -> RandomRequest:
        random_request = _set_random_fields(request, draw_fields(draw))
        hypothesis.assume(is_valid_body(target.operation, random_request.request))
        return random_request

    return draw_request()


def _build_spoken_text_strategy(
    field_mapping: FieldMapping, text_strategy: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Return a strategy of the texts of `text_strategy` that contain a letter or digit.

    No document says whether other texts are accepted. If the contract has a template around the text, only plain words
    are generated, which cannot break the syntax of the template.
    """
    if field_mapping.text_template == "{}" and field_mapping.markup_language is None:
        return text_strategy.filter(_has_letter_or_digit)
    words = st.text("abc ,.", min_size=1).filter(_has_letter_or_digit)
    return words.map(field_mapping.fill_template)


def _has_letter_or_digit(text: Any) -> bool:
    return isinstance(text, str) and any(character.isalnum() for character in text)


def _accepts_any_valid_field(target: Target, field_name: str, schema: Any, schema_pointer: str) -> bool:
    """Whether the service should accept any value of the field `field_name` that fits `schema`, at `schema_pointer`."""
    schema, schema_pointer = target.contract.schemas.resolve_reference(schema, schema_pointer)
    if not isinstance(schema, dict) or not target.contract.has_normative_source(schema_pointer):
        return False
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    # Any other text may have to name something that exists.
    if "enum" not in schema and not set(types) <= {"boolean", "integer", "number"}:
        return False
    value = schema.get("enum", [True])[0]
    return accepts_any_valid_value(
        target, BoundaryValue((field_name,), value, field_name, f"{schema_pointer}/enum", is_valid=True)
    )


def _set_random_fields(request: RequestParts, random_fields: dict[str, Any]) -> RandomRequest:
    changed = msgspec.structs.replace(request, body={**request.body, **random_fields})
    return RandomRequest(changed, f"a random valid request ({', '.join(random_fields) or 'nothing changed'})")


def build_invalid_request_strategy(target: Target, request: RequestParts) -> st.SearchStrategy[RandomRequest]:
    """Return a strategy of requests with one invalid value."""
    media = target.operation.request_media[request.media_type or ""]
    values = build_invalid_value_strategy(target.contract, media.schema, media.schema_pointer or media.pointer)

    @st.composite
    def draw_request(draw: st.DrawFn) -> RandomRequest:
        invalid = draw(values)
        random_request = RandomRequest(set_body_value(request, invalid.body_path, invalid.value), invalid.description)
        hypothesis.assume(not is_valid_body(target.operation, random_request.request))
        return random_request

    return draw_request()
