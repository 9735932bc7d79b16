from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.cases.boundary_values import build_readable_text, find_fitting_value, list_boundary_values
from voicegauge.cases.plan import _COMBINATION_CASES_BY_OPERATION, CasePlan, plan_cases
from voicegauge.cases.valid_requests import (
    DEFAULT_TEXT,
    build_request_case,
    build_valid_speech_request,
    count_charged_characters,
    is_valid_body,
)
from voicegauge.client.speech_request import map_speech_request
from voicegauge.conformance._fuzzing_requests import build_valid_value_strategy
from voicegauge.conformance.plan_prices import count_affordable_requests, forecast_budgets, list_payments, price_plan
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import adapt_contract_to_server, load_catalogue, load_contract
from voicegauge.contract.price_computation import is_billable
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Provenance
from voicegauge.model.price import RemainingBudget

from ..builders.documents import changed_yaml

CATALOGUE = load_catalogue()
TARGETS = CATALOGUE.select_targets([])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.id)
def test_the_base_request_of_every_target_is_valid(target) -> None:
    assert is_valid_body(target.operation, map_speech_request(target, build_valid_speech_request(target)))


@pytest.fixture(scope="module")
def plan() -> CasePlan:
    """Every case of every target."""
    return plan_cases(TARGETS, is_emulated=True, include_all_billable_cases=True)


def test_a_plan_is_deterministic() -> None:
    targets = CATALOGUE.select_targets(["pixelapi", "deepgram/aura-2"])
    first, again = (
        (
            _COMBINATION_CASES_BY_OPERATION.clear(),
            plan_cases(targets, is_emulated=True, include_all_billable_cases=True),
        )
        for _ in range(2)
    )
    assert first == again


def test_a_plan_begins_with_a_delivery_of_each_target_and_rejections(plan) -> None:
    delivered = list(itertools.takewhile(lambda case: case.speech_request is not None, plan.cases))
    assert sorted(f"{case.provider}/{case.target_name}" for case in delivered) == sorted(one.id for one in TARGETS)
    paid = [case.expected_response.acceptance != "rejected" for case in plan.cases[len(delivered) :]]
    assert paid == sorted(paid)
    assert len({case.id for case in plan.cases}) == len(plan.cases)


def test_expectations_agree_with_the_schema(plan) -> None:
    for case in plan.cases:
        if (
            case.request is None
            or case.expected_response.case_kind not in ("valid", "invalid")
            or "/x-limits/" in case.expected_response.contract_pointer
        ):
            continue
        operation = CATALOGUE.find_provider(case.provider).find_operation(case.operation)
        if "parameters" not in case.expected_response.contract_pointer:
            assert is_valid_body(operation, case.request) is (case.expected_response.acceptance == "accepted"), case.id


def test_every_resource_and_batch_has_a_lifecycle_case(plan) -> None:
    operations = [operation for contract in CATALOGUE for operation in contract.operations.values()]
    with_lifecycle = {one.id for one in operations if one.resource or one.batch or one.submit}
    assert {case.operation for case in plan.cases if case.is_lifecycle} == with_lifecycle
    assert {"createUserVoice", "createEmbedding", "chat", "submitBatch", "longRunningRecognize"} <= with_lifecycle


def test_every_case_points_to_a_line_of_its_contract(plan) -> None:
    for case in plan.cases:
        assert CATALOGUE.find_provider(case.provider).document.find_line(case.expected_response.contract_pointer), (
            case.id
        )


def test_every_billable_request_has_the_length_of_its_text(plan) -> None:
    for case in plan.cases:
        operation = CATALOGUE.find_provider(case.provider).find_operation(case.operation)
        if case.is_billable and case.request is not None and operation.speech is not None:
            assert case.text_character_count == count_charged_characters(operation, case.request), case.id


def test_a_random_request_with_a_file_is_priced_by_its_text() -> None:
    [target] = CATALOGUE.select_targets(["ttsai/clone-chatterbox"])
    case = build_request_case(
        target, map_speech_request(target, build_valid_speech_request(target)), "accepted", "as it is"
    )
    assert case.text_character_count == len(DEFAULT_TEXT)


def test_a_live_plan_has_one_billable_request_per_target_and_media_type_of_a_chat() -> None:
    paid = [
        case
        for case in plan_cases(TARGETS, is_emulated=False, include_all_billable_cases=False).cases
        if case.is_billable and not case.is_lifecycle
    ]
    providers = {target.contract.id: target.contract for target in TARGETS}
    audio_inputs = [f"{name}/{one}" for name, contract in providers.items() for one in contract.audio_input_targets]
    others = [
        f"{name}/{operation.id}"
        for name, contract in providers.items()
        for operation in contract.operations.values()
        if is_billable(operation) and operation.speech is operation.audio_input is operation.chat is None
    ]
    assert "elevenlabs/designVoice" in others
    others.remove("elevenlabs/remixVoice")  # only a voice that does not exist is remixed, at no cost
    wanted = sorted([*(target.id for target in TARGETS), *audio_inputs, *others, *["ttsai/chat"] * 2])
    assert sorted(f"{case.provider}/{case.target_name or case.operation}" for case in paid) == wanted


def test_a_chat_is_not_billed_when_one_target_is_checked() -> None:
    targets = CATALOGUE.select_targets(["ttsai/kokoro"])
    paid = [
        case
        for case in plan_cases(targets, is_emulated=False, include_all_billable_cases=False).cases
        if case.is_billable
    ]
    assert [case.target_name for case in paid] == ["kokoro"]


def test_the_price_of_a_chat_must_be_set() -> None:
    targets = CATALOGUE.select_targets(["ttsai"])
    plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=False)
    named = price_plan(plan, targets, {"ttsai/chat": 0.5}, provenance=Provenance.LIVE)
    assert [case.price_usd for case in named.cases if case.is_billable and "ttsai/chat: " in case.id] == [0.5, 0.5]
    assert "ttsai/chat" not in named.ids_without_price
    assert "ttsai/chat" in price_plan(plan, targets, {}, provenance=Provenance.LIVE).ids_without_price


def budget(usd: float) -> RemainingBudget:
    return RemainingBudget(flag="--max-cost", limit_usd=usd, spent_usd=0.0)


def test_a_budget_pays_for_the_first_requests_of_the_plan() -> None:
    targets = CATALOGUE.select_targets(["pixelapi"])
    whole = price_plan(
        plan_cases(targets, is_emulated=False, include_all_billable_cases=True), targets, {}, provenance=Provenance.LIVE
    )
    paid = [case for case in whole.cases if case.is_billable]
    sent = list(itertools.accumulate(case.billable_request_count for case in paid))
    assert sent[-1] == len(paid) + 1  # two deliveries at the same moment are one case
    for most in (0, 1, 7, sent[-1], sent[-1] + 1):
        plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=True, max_billable_requests=most)
        cut = price_plan(plan, targets, {}, provenance=Provenance.LIVE)
        count = sum(number <= most for number in sent)
        assert [case.id for case in cut.cases if case.is_billable] == [case.id for case in paid[:count]]
        assert cut.price_usd == pytest.approx(sum(case.price_usd for case in paid[:count]))
        assert count_affordable_requests(whole, [budget(cut.price_usd)]) == min(most, sent[-1])
    assert count_affordable_requests(whole, [budget(paid[0].price_usd / 2)]) == 0


def test_a_forecast_spends_on_one_provider_after_the_other() -> None:
    targets = CATALOGUE.select_targets(["pixelapi/voice-design", "openai/tts-1"])
    plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=True, max_billable_requests=20)
    priced = price_plan(plan, targets, {}, provenance=Provenance.LIVE)
    of_first = priced.sum_price_usd_by_provider()["pixelapi"]
    assert [case.id for case in priced.cases] != [case.id for case in priced.cases_as_sent]
    lacking = forecast_budgets(list_payments(priced), [budget(of_first)]).unaffordable_cases
    assert lacking
    assert all(case.id.startswith("openai/") for case in lacking)


@pytest.mark.parametrize("bound", ["minLength", "maxLength", "minimum", "maximum", "enum", "required"])
def test_every_documented_bound_is_tested_from_both_sides(plan, bound) -> None:
    verdicts = {
        case.expected_response.acceptance
        for case in plan.cases
        if case.expected_response.contract_pointer.rpartition("/")[2] == bound
    }
    assert verdicts >= ({"rejected"} if bound == "required" else {"rejected", "accepted"})


def test_a_plan_has_every_unusual_text_and_every_kind_of_upload(plan) -> None:
    ids = " ".join(case.id for case in plan.cases)
    for description in (
        "emoji",
        "right to left",
        "combining marks",
        "control characters",
        "SSML",
        "very long word",
        "white space",
    ):
        assert description in ids
    for description in ("90 s", "0.5 s", "10485761 bytes", "8000 Hz", "as flac", "truncated", "an empty file"):
        assert f"pixelapi/generateSpeech: a recording {description}" in ids or description in ids


@given(st.integers(1, 1000))
def test_a_readable_text_has_the_requested_length(length) -> None:
    text = build_readable_text(length)
    assert len(text) == length
    assert text == text.strip()


SCHEMAS = st.recursive(
    st.one_of(
        st.builds(
            lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, _ := st.integers(0, 9), _
        ),
        st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, _, _),
        st.builds(lambda low, more: {"type": "number", "minimum": low, "exclusiveMaximum": low + more + 1}, _, _),
        st.just({"type": "boolean"}),
        st.just({"type": ["string", "null"]}),
        st.just({"enum": ["a", 2, None]}),
        st.just({"type": "string", "format": "uri"}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1, "maxItems": 3}, inner),
        st.builds(lambda a, b: {"type": "object", "required": ["a"], "properties": {"a": a, "b": b}}, inner, inner),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=25, deadline=None)
@given(schema=SCHEMAS, data=st.data())
def test_random_values_fit_their_schema(schema, data) -> None:
    import jsonschema_rs

    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    schemas = CATALOGUE.find_provider("pixelapi").schemas
    assert validator.is_valid(data.draw(build_valid_value_strategy(schemas, schema)))
    made = find_fitting_value(schemas, schema)
    assert made is MISSING or validator.is_valid(made)
    for probe in list_boundary_values(schemas, schema, ""):
        if not probe.body_path and "anyOf" not in schema:
            assert validator.is_valid(probe.value) is probe.is_valid, probe


def test_an_enum_of_numbers_is_tested_with_another_number() -> None:
    schemas = CATALOGUE.find_provider("ttsai").schemas
    for values, other in (([2, 4, 5], 3), ([1, 2], 3), (["a", "b"], "no-such-value")):
        found = list(list_boundary_values(schemas, {"enum": values}, "", ("x",)))
        assert [probe.value for probe in found if "not one of" in probe.description] == [other]


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (10**400, [(10**400 - 1, True), (10**400, True), (10**400 + 1, False)]),
        (-(2**60), [(-(2**60) - 1, True), (-(2**60), True), (-(2**60) + 1, False)]),
        (1e308, [(1e308, True)]),
        (0.5, [(0.49, True), (0.5, True), (0.51, False)]),
    ],
)
def test_large_bounds_are_varied_by_whole_numbers(bound: float, expected: list[tuple[float, bool]]) -> None:
    schemas = CATALOGUE.find_provider("ttsai").schemas
    found = list(list_boundary_values(schemas, {"type": "number", "maximum": bound}, "", ("x",)))
    assert [(probe.value, probe.is_valid) for probe in found if probe.keyword == "maximum"] == expected


def test_two_fields_with_one_name_are_both_tested(acme_contracts) -> None:
    path = acme_contracts() / "acme" / "openapi.yaml"
    properties = "/paths/~1speak/post/requestBody/content/application~1json/schema/properties"
    filter_schema = {"type": "object", "properties": {"level": {"type": "integer", "maximum": 10}}}
    changes = {f"{properties}/{name}": filter_schema for name in ("input_filter", "output_filter")}
    path.write_text(changed_yaml(path.read_text(), changes))
    targets = list(load_contract(path).targets.values())
    plan = plan_cases(targets, is_emulated=True, include_all_billable_cases=True)
    bodies = [case.request.body for case in plan.cases if case.request is not None]
    for name in ("input_filter", "output_filter"):
        assert any(isinstance(body, dict) and body.get(name) == {"level": 11} for body in bodies), name


def _plan_job_operation(folder: Path, parameter: dict[str, Any]) -> CasePlan:
    """Return the plan of an API with an operation that shows a job, whose id is `parameter`."""
    path = folder / "acme" / "openapi.yaml"
    responses = {"200": {"description": "the job"}, "404": {"description": "no such job"}}
    job = {"get": {"operationId": "showJob", "parameters": [parameter], "responses": responses}}
    path.write_text(changed_yaml(path.read_text(), {"/paths/~1jobs~1{job}": job}))
    targets = list(load_contract(path).targets.values())
    return plan_cases(targets, is_emulated=True, include_all_billable_cases=False)


@pytest.mark.parametrize(
    ("schema", "expected_pattern"),
    [
        ({"type": "string", "pattern": "^nar_[a-z0-9]+$"}, "nar_[a-z0-9]{16}"),
        ({"type": "string", "pattern": "^nar_[a-z0-9]+$", "maxLength": 10}, "nar_[a-z0-9]{4}"),
        ({"type": "string", "pattern": r"^(?:job|run)-\d{4,}-[^\W_a-z]$"}, r"(job|run)-[0-9]{16}-[0-9A-Z]"),
        ({"type": "string", "pattern": "^[@#].[^a]?ö[ü-ÿ]$"}, "[@#].[^a]?öü"),
        ({"type": "integer", "minimum": 5000}, "[0-9]{4,}"),
        ({"type": "string", "format": "uuid"}, "00000000-0000-4000-8000-000000000000"),
    ],
    ids=["pattern", "length", "classes", "not-ascii", "integer", "uuid"],
)
def test_the_id_of_an_unknown_job_fits_its_parameter(acme_contracts, schema, expected_pattern) -> None:
    parameter = {"name": "job", "in": "path", "required": True, "schema": schema}
    plan = _plan_job_operation(acme_contracts(), parameter)
    assert not plan.skipped_cases
    (case,) = [one for one in plan.cases if one.id.startswith("acme/showJob") and "does not exist" in one.id]
    assert re.fullmatch(expected_pattern, str(case.request.path_parameters["job"]))


def test_a_parameter_without_a_known_value_is_named_with_the_remedy(acme_contracts) -> None:
    schema = {"type": "string", "pattern": r"^\p{Lu}+1$"}  # not known to Python's regular expressions
    parameter = {"name": "job", "in": "path", "required": True, "schema": schema}
    (skipped,) = _plan_job_operation(acme_contracts(), parameter).skipped_cases
    assert skipped.id == "acme/showJob"
    assert skipped.skip_reason == (
        "no value is known for the required path parameter job: add an `example` that fits its schema to the parameter"
    )
    repaired = _plan_job_operation(
        acme_contracts(), {**parameter, "schema": {**schema, "pattern": r"^\p{Lu}+0$"}, "example": "AB0"}
    )
    assert not repaired.skipped_cases


def test_a_required_language_gets_a_language() -> None:
    schema = {"type": "object", "required": ["language", "text"], "properties": {"language": {"type": "string"}}}
    assert find_fitting_value(TARGETS[0].operation.schemas, schema) == {"language": "en", "text": "Good morning"}


@pytest.mark.parametrize(("provider", "field"), [("openai", "model"), ("inworld", "modelId"), ("ttsai", "model")])
def test_an_unknown_model_is_in_every_plan(voicegauge_catalogue, provider, field) -> None:
    targets = list(voicegauge_catalogue.find_provider(provider).targets.values())
    plan = plan_cases(targets, is_emulated=False, include_all_billable_cases=False, max_billable_requests=1)
    (case,) = [one for one in plan.cases if f"{field} 'no-such-model'" in one.id][:1]
    assert case.expected_response.acceptance == "rejected"
    assert not case.is_billable


def test_a_server_of_ones_own_is_asked_for_a_model_that_it_does_not_have(voicegauge_catalogue) -> None:
    def list_unknown_models(contract: Contract) -> list[str]:
        plan = plan_cases(list(contract.targets.values()), is_emulated=False, include_all_billable_cases=False)
        return [case.id for case in plan.cases if "no-such-model" in case.id]

    contract = voicegauge_catalogue.find_provider("openai-compatible")
    of_unknown_model = ["openai-compatible/createSpeech: model 'no-such-model', which does not exist"]
    assert list_unknown_models(contract) == of_unknown_model
    adapted = adapt_contract_to_server(contract, model_names=["kokoro", "piper"], voice_names=[])
    assert list_unknown_models(adapted) == of_unknown_model


def test_a_wrong_key_is_sent_to_a_server_for_which_a_key_is_set(voicegauge_catalogue) -> None:
    targets = list(voicegauge_catalogue.find_provider("openai-compatible").targets.values())

    def list_key_cases(keyed_provider_ids: list[str]) -> set[str]:
        plan = plan_cases(
            targets, is_emulated=False, include_all_billable_cases=False, keyed_provider_ids=keyed_provider_ids
        )
        return {case.expected_response.description for case in plan.cases if case.api_key_validity != "valid"}

    assert list_key_cases([]) == set()
    assert list_key_cases(["openai-compatible"]) == {"a request with a wrong key"}
