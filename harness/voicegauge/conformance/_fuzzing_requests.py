"""Searches for violations with random requests."""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import hypothesis
import msgspec
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import Flaky, Unsatisfiable

from voicegauge.cases.body_cases import accepts_any_valid_value
from voicegauge.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.valid_requests import (
    ExpectedAcceptance,
    build_request_case,
    build_valid_speech_request,
    is_valid_body,
    set_body_value,
)
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.conformance._case_runner import CaseRunner
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.contract.contract import Contract, Target
from voicegauge.contract.extension.speech import FieldMapping
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import BudgetError, StorageError, TransportError, VoicegaugeError
from voicegauge.formats.located_yaml import escape_pointer_token
from voicegauge.formats.locations import Location
from voicegauge.model.base import Finding, Severity

# Adds to findings of fuzzing a pytest test that sends the same requests again.


MAX_REPRODUCTION_TEST_CHARACTERS = 4_000
"""Number of characters in the longest test that is written, because nobody would read a longer one."""


def add_reproduction_test_of_request(
    findings: Sequence[Finding], target: Target, case: ConformanceCase
) -> list[Finding]:
    """Return `findings` with a test that sends the request of `case` again, if it can be written as Python."""
    if not findings:
        return []
    base = map_speech_request(target, build_valid_speech_request(target)).body
    body = case.request.body if case.request is not None else None
    if not isinstance(base, dict) or not isinstance(body, dict):
        return list(findings)
    # With their types, because 1, 1.0 and True are equal in Python, but not in JSON.
    changes = {
        name: value
        for name, value in body.items()
        if name not in base or (type(base[name]), base[name]) != (type(value), value)
    }
    omitted_fields = [name for name in base if name not in body]
    arguments = [_format_python_literal(target.id), _format_python_literal(changes)] + (
        [f"omitted_fields={omitted_fields!r}"] if omitted_fields else []
    )
    arguments.append(f"expected_outcome={_format_python_literal(case.expected_response.acceptance)}")
    call = f"voicegauge_send({', '.join(arguments)})"
    return [_add_reproduction_test(finding, "voicegauge_send", call) for finding in findings]


def add_job_steps_test(findings: Sequence[Finding], target: Target, steps: Sequence[str]) -> list[Finding]:
    """Return `findings` with a test that takes the same steps with jobs again."""
    call = f"voicegauge_jobs({target.id!r}, {list(steps)!r})"
    # A single request shows nothing: it names a job that does not exist any more.
    without_command = (msgspec.structs.replace(finding, reproduction_command=None) for finding in findings)
    return [_add_reproduction_test(finding, "voicegauge_jobs", call) for finding in without_command]


def _format_python_literal(value: Any) -> str:
    """Return the value as Python source. A long text of one repeated character becomes a product."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_format_python_literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, str) and len(value) > 100 and len(set(value)) == 1:
        return f"{value[0]!r} * {len(value)}"
    return repr(value)


def _add_reproduction_test(finding: Finding, pytest_fixture_name: str, pytest_fixture_call: str) -> Finding:
    name = finding.rule.replace("-", "_")
    provenance = finding.provenance.value.upper()
    text = (
        f"# {finding.rule}, found by fuzzing ({provenance}): {finding.message}\n"
        f"def test_{name}({pytest_fixture_name}):\n    {pytest_fixture_call}\n"
    )
    if len(text) > MAX_REPRODUCTION_TEST_CHARACTERS or not _is_plain_python_test(text):
        return finding
    return msgspec.structs.replace(finding, reproduction_test=text)


def _is_plain_python_test(text: str) -> bool:
    """Whether a test can be parsed, and its only call is that of the pytest fixture.

    A request with a file cannot be written with literals, because the `repr` of the file is another call.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return sum(isinstance(node, ast.Call) for node in ast.walk(tree)) == 1


# Makes Hypothesis strategies from a schema, for values that fit it and for values that just break it.


MAX_RANDOM_TEXT_CHARACTERS = 300
"""Number of characters in the longest random text. Planned cases try longer texts, which would slow the search down."""
MAX_RANDOM_LIST_ITEMS = 4
"""Number of items in the longest random list. Longer lists would slow the search down."""
MAX_RANDOM_NUMBER = 10**9
"""The largest random integer that is sent as an invalid value. It is exact as a float, and fits into 32 bits."""
_TYPEABLE_CHARACTER_STRATEGY = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co"))
"""Characters that a person can type: no control characters, surrogates, private or unassigned code points."""
_WORD_STRATEGY = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
_STRATEGY_BY_FORMAT_KEYWORD: dict[str, st.SearchStrategy[Any]] = {
    "uri": st.from_regex(r"https://[a-z]{1,12}\.example/[a-z0-9]{1,12}\.wav", fullmatch=True),
    "date-time": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    "date": st.dates().map(str),
    "uuid": st.uuids().map(str),
    "email": st.from_regex(r"[a-z]{1,12}@[a-z]{1,12}\.example", fullmatch=True),
}


def build_valid_value_strategy(schemas: Schemas, schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of values that fit those keywords of `schema` that are common in speech APIs.

    These keywords are lengths, patterns, enums, formats, bounds, lists, objects, `oneOf` and `anyOf`. A value may break
    another keyword, so the caller must validate the values against the schema.
    """
    schema, _ = schemas.resolve_reference(schema)
    if not isinstance(schema, dict):
        return st.none()
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    for keyword in ("oneOf", "anyOf"):
        if schema.get(keyword) and "properties" not in schema:
            return st.one_of(*(build_valid_value_strategy(schemas, branch) for branch in schema[keyword]))
    types = schema.get("type", "object" if "properties" in schema else "string")
    json_types = [types] if isinstance(types, str) else types
    return st.one_of(*(_build_strategy_for_type(schemas, schema, json_type) for json_type in json_types))


def _build_strategy_for_type(schemas: Schemas, schema: dict[str, Any], json_type: str) -> st.SearchStrategy[Any]:
    if json_type == "string":
        return _build_text_strategy(schema)
    if json_type == "integer":
        return st.integers(*_read_integer_bounds(schema))
    if json_type == "number":
        return st.floats(
            min_value=schema.get("minimum", schema.get("exclusiveMinimum")),
            max_value=schema.get("maximum", schema.get("exclusiveMaximum")),
            exclude_min="exclusiveMinimum" in schema,
            exclude_max="exclusiveMaximum" in schema,
            allow_nan=False,  # JSON has neither
            allow_infinity=False,
            width=64
            if schema.keys() & {"minimum", "maximum"}
            else 32,  # a bound such as 0.1 is not exact in 32 bits, which Hypothesis rejects
        )
    if json_type == "boolean":
        return st.booleans()
    if json_type == "array":
        longest = min(
            schema.get("maxItems", MAX_RANDOM_LIST_ITEMS), max(MAX_RANDOM_LIST_ITEMS, schema.get("minItems", 0))
        )
        items = build_valid_value_strategy(schemas, schema.get("items", {}))
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=longest)
    return _build_object_strategy(schemas, schema) if json_type == "object" else st.none()


def _build_text_strategy(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") in _STRATEGY_BY_FORMAT_KEYWORD:
        return _STRATEGY_BY_FORMAT_KEYWORD[schema["format"]]
    low = schema.get("minLength", 0)
    high = max(low, min(schema.get("maxLength", MAX_RANDOM_TEXT_CHARACTERS), MAX_RANDOM_TEXT_CHARACTERS))
    if "pattern" in schema:
        matching = st.from_regex(schema["pattern"], alphabet=_TYPEABLE_CHARACTER_STRATEGY)
        return matching.filter(lambda text: low <= len(text) <= schema.get("maxLength", len(text)))
    return st.text(_TYPEABLE_CHARACTER_STRATEGY, min_size=low, max_size=high)


def _read_integer_bounds(schema: dict[str, Any]) -> tuple[int | None, int | None]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - 1
    return (None if low is None else int(low)), (None if high is None else int(high))


def _build_object_strategy(schemas: Schemas, schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    properties = {
        name: build_valid_value_strategy(schemas, inner) for name, inner in schema.get("properties", {}).items()
    }
    required = [name for name in schema.get("required", ()) if name in properties]
    draw_object = build_object_draw_function({name: properties.pop(name) for name in required}, properties)
    return st.composite(draw_object)()


def build_object_draw_function(
    required_fields: Mapping[str, st.SearchStrategy[Any]], optional_fields: Mapping[str, st.SearchStrategy[Any]]
) -> Callable[[st.DrawFn], dict[str, Any]]:
    """Return a function that draws objects with all `required_fields` and any of the `optional_fields`.

    The objects shrink towards having no optional fields. Unlike `fixed_dictionaries`, the function chooses the fields
    with a single integer and draws within the calling strategy, which halves the time that Hypothesis takes.
    """
    choices = st.integers(0, 2 ** len(optional_fields) - 1)

    def draw_object(draw: st.DrawFn) -> dict[str, Any]:
        chosen = draw(choices)
        names = [name for index, name in enumerate(optional_fields) if chosen >> index & 1]
        fields = {**required_fields, **{name: optional_fields[name] for name in names}}
        return {name: draw(values) for name, values in fields.items()}

    return draw_object


def build_invalid_value_strategy(
    contract: Contract, schema: Any, schema_pointer: str
) -> st.SearchStrategy[BoundaryValue]:
    """Return a strategy of values that make a valid body invalid, because they break a keyword of the schema.

    The keyword `format`, which is an annotation, and keywords that no normative document states are not broken.

    Each value is drawn in one step. With nested strategies, Hypothesis would try to replace parts of an example by
    other parts from the same strategy, which never helps here.
    """
    planned = [
        boundary_value
        for boundary_value in list_boundary_values(contract.schemas, schema, schema_pointer)
        if boundary_value.body_path and not boundary_value.is_valid and boundary_value.keyword != "format"
        if contract.has_normative_source(boundary_value.keyword_pointer)
    ]
    if not planned:
        return st.nothing()
    beyond = [_build_strategy_beyond_boundary(boundary_value) for boundary_value in planned]
    indexes = st.integers(0, len(planned) - 1)

    @st.composite
    def draw_value(draw: st.DrawFn) -> BoundaryValue:
        index = draw(indexes)
        boundary_value, others = planned[index], beyond[index]
        if others is None:
            return boundary_value
        value = draw(others)
        description = f"{boundary_value.body_path[-1]} {value!r:.60}, past {boundary_value.keyword}"
        return boundary_value._replace(value=value, description=description)

    return draw_value()


def _build_strategy_beyond_boundary(boundary_value: BoundaryValue) -> st.SearchStrategy[Any] | None:
    """Return a strategy of values that break the same keyword as `boundary_value`, which is invalid.

    Return `None` if no other value is certain to break the keyword.
    """
    if boundary_value.keyword in ("minimum", "exclusiveMinimum"):
        return st.integers(max_value=int(boundary_value.value), min_value=-MAX_RANDOM_NUMBER)
    if boundary_value.keyword in ("maximum", "exclusiveMaximum"):
        return st.integers(min_value=int(boundary_value.value) + 1, max_value=MAX_RANDOM_NUMBER)
    if boundary_value.keyword == "enum":
        return _WORD_STRATEGY if isinstance(boundary_value.value, str) else None
    if boundary_value.keyword == "maxLength":
        return st.integers(len(boundary_value.value), len(boundary_value.value) + 50).map(lambda n: "a" * n)
    return _build_strategy_for_type_of(boundary_value.value) if boundary_value.keyword == "type" else None


def _build_strategy_for_type_of(value: Any) -> st.SearchStrategy[Any] | None:
    """Return a strategy of texts or integers, whichever type `value` has; `None` if it has another type.

    The caller uses it where the schema allows no value of this type.
    """
    if isinstance(value, str):
        # The prefix keeps a lenient parser from reading a word such as "nan" or "inf" as a number.
        return _WORD_STRATEGY.map(lambda word: f"x{word}")
    return st.integers(-MAX_RANDOM_NUMBER, MAX_RANDOM_NUMBER) if type(value) is int else None


# Searches for broken rules: Hypothesis generates, shrinks and remembers examples, and the event loop sends them.


MAX_SEARCH_ROUNDS = 3
"""Maximum number of rounds in one search. After a finding, the next round searches for another broken rule."""
MAX_STEPS_PER_SEQUENCE = 16
"""Maximum number of steps in one example of a state machine."""
MAX_SHRINKING_EXAMPLES = 150
"""Maximum number of requests that search for a smaller example after a finding. A live service may charge for them."""
_hypothesis_thread_pool = concurrent.futures.ThreadPoolExecutor(thread_name_prefix="hypothesis")
"""Threads for all searches. In each new thread, Hypothesis first collects all garbage, which takes as long as many
requests."""
ResultT = TypeVar("ResultT")
FuzzTest = Callable[[], None]
"""A function that runs all examples of one round."""
FuzzTestFactory = Callable[[hypothesis.settings, int], FuzzTest]
"""A function that makes the test of one round from Hypothesis settings and a seed."""


class _SearchEndedSignal(BaseException):
    """Raised in an example to end the whole search. As a `BaseException` it also ends the shrinking by Hypothesis."""


class RuleBrokenSignal(Exception):  # noqa: N818 - it is not an error of this program
    """Tells Hypothesis that the example broke a rule. Hypothesis shrinks examples that raise an exception."""


@dataclass(frozen=True)
class FuzzSettings:
    """How long to search, with which seed, and where failing examples are saved."""

    example_count: int
    """Number of examples per round."""
    seed: int
    """Seed of the random numbers. It determines every example except the saved ones that failed before."""
    failures_folder: Path | None = None
    """Folder for failing examples. They are tried first, and deleted when they pass. `None` to save nothing."""

    def copy_with_failures_subfolder(self, *folder_names: str) -> FuzzSettings:
        """Return the same settings, with failing examples saved in a subfolder."""
        folder = self.failures_folder
        return self if folder is None else replace(self, failures_folder=folder.joinpath(*folder_names))


class ViolationSearch:
    """One search for examples that break a rule. It runs in a thread, because Hypothesis is synchronous."""

    def __init__(self, case_runner: CaseRunner, fuzz_settings: FuzzSettings) -> None:
        """Prepare a search. Call this in the event loop that sends requests; `case_runner` collects the findings."""
        self._runner, self._fuzz_settings = case_runner, fuzz_settings
        self._loop = asyncio.get_running_loop()
        self._known: set[tuple[str, int | None]] = set()
        """Rule and line of the contract of each error of earlier rounds, which later rounds ignore."""
        self._latest: list[Finding] = []
        """The errors of the latest example that broke a rule in this round."""
        self._stop_error: VoicegaugeError | None = None  # after it, nothing more can be sent
        self._is_interrupted = False
        self._sending: asyncio.Task[Any] | None = None  # the latest example
        self._shrinking_example_count = 0

    async def search_violations(self, build_round_test: FuzzTestFactory) -> None:
        """Search until no further rule is broken, or for `MAX_SEARCH_ROUNDS` rounds.

        Args:
            build_round_test: returns a test that calls `run_in_event_loop` and `raise_if_new_errors`. It must apply the
                settings after the seed, because `hypothesis.seed` drops the saved failures.

        Raises:
            BudgetError: the next request costs more than is left in the budget.
            TransportError: the service cannot be reached.
            StorageError: what is paid for could not be saved.
            CancelledError: the check was interrupted. What was received and found until then is collected.
        """
        rounds = self._loop.run_in_executor(_hypothesis_thread_pool, self._run_rounds, build_round_test)
        try:
            await asyncio.shield(rounds)
        except asyncio.CancelledError:
            # A thread cannot be cancelled. It ends when it tries to send the next request, and is waited for, because
            # it collects what was found.
            self._is_interrupted = True
            if self._sending is not None:
                self._sending.cancel()
            await asyncio.wait([rounds])
            raise
        if self._is_interrupted:
            raise asyncio.CancelledError

    def _run_rounds(self, build_round_test: FuzzTestFactory) -> None:
        for number in range(MAX_SEARCH_ROUNDS):
            self._latest, self._shrinking_example_count = [], 0
            try:
                build_round_test(self._build_hypothesis_settings(number), self._fuzz_settings.seed)()
            except (RuleBrokenSignal, Flaky, _SearchEndedSignal):
                pass  # the findings are in `_latest`: of the smallest example, or of one that did not fail again
            except Unsatisfiable:
                return  # no example fits the strategy
            self._known |= {(finding.rule, finding.where.contract_line) for finding in self._latest}
            self._runner.collect_findings(self._latest)
            if self._stop_error is not None:
                raise self._stop_error
            if self._is_interrupted or not self._latest:
                return

    def _build_hypothesis_settings(self, round_number: int) -> hypothesis.settings:
        """Return the Hypothesis settings of a round.

        Each round saves failures in its own folder. In a shared folder, a later round, which ignores the rules that
        earlier rounds found broken, would see their failures pass and delete them.
        """
        folder = self._fuzz_settings.failures_folder
        database = None if folder is None else DirectoryBasedExampleDatabase(folder / str(round_number + 1))
        return hypothesis.settings(
            max_examples=self._fuzz_settings.example_count,
            database=database,
            derandomize=False,  # Hypothesis sets it under CI, where it would replace the seed
            deadline=None,  # how long a request takes is up to the service
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            print_blob=False,
            stateful_step_count=MAX_STEPS_PER_SEQUENCE,
            suppress_health_check=list(HealthCheck),  # they judge tests by their speed, here that of the service
            verbosity=Verbosity.quiet,
        )

    def run_in_event_loop(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run `coroutine` in the thread of the event loop, and return its result.

        If there is no response, Hypothesis discards the example. If no further response can be expected, the search
        ends.
        """
        self._shrinking_example_count += bool(self._latest)
        has_shrunk_enough = self._shrinking_example_count > MAX_SHRINKING_EXAMPLES
        try:
            if self._is_interrupted or self._stop_error is not None or has_shrunk_enough:
                coroutine.close()  # Python would warn of a coroutine that was never awaited
            else:
                return asyncio.run_coroutine_threadsafe(self._send(coroutine), self._loop).result()
        except TransportError as error:
            if not self._runner.must_stop_after_error(error):
                hypothesis.reject()
            self._stop_error = error
        except (BudgetError, StorageError) as error:
            self._stop_error = error
        except concurrent.futures.CancelledError:
            self._is_interrupted = True
        raise _SearchEndedSignal

    async def _send(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Await `coroutine` in a task; a cancelled search waits for it, because it still counts what it sent."""
        self._sending = asyncio.current_task()
        return await coroutine

    def raise_if_new_errors(self, findings: Sequence[Finding]) -> None:
        """Remember the errors in `findings` that no earlier round has found, and stop the example if there is one.

        Raises:
            RuleBrokenSignal: there is at least one such error.
        """
        new = [
            f for f in findings if f.severity is Severity.ERROR and (f.rule, f.where.contract_line) not in self._known
        ]
        if new:
            self._latest = new
            raise RuleBrokenSignal


# Sends random requests that fit or just break a schema, and shrinks those that break a rule.


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
        search = ViolationSearch(case_runner, fuzz_settings.copy_with_failures_subfolder(target.operation.id, verdict))
        await search.search_violations(_build_request_test(target, case_runner, search, requests, verdict))


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
        violation_search.raise_if_new_errors(add_reproduction_test_of_request(judged.findings, target, case))

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
        random_fields = draw_fields(draw)
        changed = msgspec.structs.replace(request, body={**request.body, **random_fields})
        hypothesis.assume(is_valid_body(target.operation, changed))
        return RandomRequest(changed, f"a random valid request ({', '.join(random_fields) or 'nothing changed'})")

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


def build_invalid_request_strategy(target: Target, request: RequestParts) -> st.SearchStrategy[RandomRequest]:
    """Return a strategy that draws `request`, a valid one to `target`, with one value of its body made invalid."""
    media = target.operation.request_media[request.media_type or ""]
    values = build_invalid_value_strategy(target.contract, media.schema, media.schema_pointer or media.pointer)

    @st.composite
    def draw_request(draw: st.DrawFn) -> RandomRequest:
        invalid = draw(values)
        random_request = RandomRequest(set_body_value(request, invalid.body_path, invalid.value), invalid.description)
        hypothesis.assume(not is_valid_body(target.operation, random_request.request))
        return random_request

    return draw_request()
