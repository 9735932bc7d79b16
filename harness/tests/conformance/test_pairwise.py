"""Pairwise combinations, and the order of a plan."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.case_order import order_cases
from voicegauge.cases.pairwise import (
    MAX_COMBINED_VALUES_PER_FIELD,
    build_pairwise_rows,
    build_rows_with_each_value,
    is_supported_value,
    list_pairwise_fields,
    plan_combination_cases,
)
from voicegauge.cases.plan import plan_cases
from voicegauge.cases.valid_requests import build_valid_speech_request, is_valid_body
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.formats.locations import MISSING
from voicegauge.rules.call import ExpectedResponse

from ..builders.documents import changed_yaml

CATALOGUE = load_catalogue()
TARGETS = CATALOGUE.select_targets([])
FEW_CALLS = 40


def _value(wire, field):
    return repr((wire.query_parameters if field.location == "query" else wire.body).get(field.name, MISSING))


def _met(wires, fields):
    """Every pair of values of two fields in one of the requests."""
    valued = ([(field.name, _value(wire, field)) for field in fields] for wire in wires)
    return {pair for values in valued for pair in itertools.combinations(values, 2)}


def _valid(target, wire, fields):
    """Every combination that the contract allows."""
    for values in itertools.product(
        *([v for v in field.values if is_supported_value(target, field, v)] for field in fields)
    ):
        # A body that is the text itself has no fields.
        named = {"body": wire.body, "query": wire.query_parameters}
        parts = {part: {**values} for part, values in named.items() if isinstance(values, dict)}
        for field, value in zip(fields, values, strict=True):
            parts[field.location][field.name] = value
        sent = {
            {"query": "query_parameters"}.get(part, part): {
                name: value for name, value in values.items() if value is not MISSING
            }
            for part, values in parts.items()
        }
        changed = replace(wire, **sent)
        if is_valid_body(target.operation, changed):
            yield changed


@settings(max_examples=20, deadline=None)
@given(value_counts=st.lists(st.integers(1, 5), min_size=2, max_size=5), data=st.data())
def test_every_possible_pair_of_indexes_is_covered(value_counts, data) -> None:
    last = data.draw(
        st.lists(
            st.booleans(), min_size=value_counts[0] * value_counts[-1], max_size=value_counts[0] * value_counts[-1]
        )
    )

    def possible(row):
        return last[row[0] * value_counts[-1] + row[-1]]

    rows = build_pairwise_rows(
        value_counts,
        lambda choices: len(choices) < len(value_counts) or possible([*map(choices.get, range(len(choices)))]),
    )
    assert all(possible(row) for row in rows)
    for one, two in itertools.combinations(range(len(value_counts)), 2):
        every = [row for row in itertools.product(*map(range, value_counts)) if possible(row)]
        assert {(row[one], row[two]) for row in rows} == {(row[one], row[two]) for row in every}


@pytest.mark.slow
def test_a_value_that_only_whole_requests_rule_out_is_not_tried_with_every_combination_of_the_others() -> None:
    field_count, tried_count = 14, 0

    def is_possible(choices) -> bool:
        nonlocal tried_count
        tried_count += 1
        assert tried_count < 100_000
        return len(choices) < field_count or choices[0] == 0

    rows = build_pairwise_rows([2] * field_count, is_possible)
    pairs = {pair for row in rows for pair in itertools.combinations(enumerate(row), 2)}
    values = [(0, 0), *itertools.product(range(1, field_count), range(2))]
    assert pairs == {(one, two) for one, two in itertools.combinations(values, 2) if one[0] != two[0]}


@settings(max_examples=20, deadline=None)
@given(value_counts=st.lists(st.integers(1, 5), min_size=1, max_size=4), data=st.data())
def test_few_rows_have_every_possible_index(value_counts, data) -> None:
    every = list(itertools.product(*map(range, value_counts)))
    whole = data.draw(st.sets(st.sampled_from(every)))
    rows = build_rows_with_each_value(
        value_counts,
        lambda choices: any(all(row[position] == index for position, index in choices.items()) for row in whole),
    )
    assert set(rows) <= whole
    for at in range(len(value_counts)):
        assert {row[at] for row in rows} == {row[at] for row in whole}
    assert len(build_rows_with_each_value(value_counts, lambda _: True)) == max(value_counts)


ONE_PER_PROVIDER = {target.contract.id: target for target in TARGETS}.values()


@pytest.mark.parametrize(
    "target",
    [pytest.param(one, marks=() if one in ONE_PER_PROVIDER else pytest.mark.slow) for one in TARGETS],
    ids=lambda target: target.id,
)
def test_every_pair_of_values_is_in_a_valid_request(target) -> None:
    wire = map_speech_request(target, build_valid_speech_request(target))
    fields = list(list_pairwise_fields([(target, wire)]))
    cases = list(plan_combination_cases([(target, wire)]))
    assert _met([case.request for case in cases], fields) == _met(_valid(target, wire, fields), fields)
    assert all(is_valid_body(target.operation, case.request) for case in cases)


def _case(index: int, body: dict[str, object], verdict: str, kind: str = "valid") -> ConformanceCase:
    return ConformanceCase(
        id=str(index),
        provider="acme",
        operation="speak",
        target_name="voice-1",
        expected_response=ExpectedResponse(
            acceptance=verdict, case_kind=kind, description=str(index), contract_pointer=""
        ),  # type: ignore[arg-type]
        request=RequestParts(body=body, media_type="application/json"),
    )


BODIES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), max_size=4)
VERDICTS = st.sampled_from(["accepted", "rejected", "either"])


@settings(max_examples=20, deadline=None)
@given(drawn=st.lists(st.tuples(BODIES, VERDICTS), max_size=20), most=st.integers(0, 20))
def test_rejections_come_first_and_a_limited_plan_is_the_beginning_of_the_full_one(drawn, most) -> None:
    cases = [_case(index, body, verdict) for index, (body, verdict) in enumerate(drawn)]
    whole = order_cases(cases)
    assert sorted(case.id for case in whole) == sorted(case.id for case in cases)
    assert [case.is_billable for case in whole] == sorted(case.is_billable for case in whole)
    cut = order_cases(cases, most)
    assert cut == whole[: len(cut)]
    assert sum(case.is_billable for case in cut) == min(most, sum(case.is_billable for case in cases))


@given(drawn=st.lists(BODIES, min_size=2, max_size=20))
def test_no_request_comes_before_one_with_more_new_values(drawn) -> None:
    cases = [_case(index, body, "accepted") for index, body in enumerate(drawn)]
    seen: set[tuple[str, object]] = set()
    names = sorted({name for body in drawn for name in body})
    whole = order_cases(cases)

    def new(case: ConformanceCase) -> int:
        return len({(name, case.request.body.get(name)) for name in names} - seen)  # type: ignore[union-attr]

    for index, case in enumerate(whole):
        # Pairs count as well, but all pairs of four fields weigh less than one value.
        assert new(case) >= max(map(new, whole[index:]))
        seen |= {(name, case.request.body.get(name)) for name in names}  # type: ignore[union-attr]


def test_objects_that_differ_in_a_member_are_different_values() -> None:
    ordered = order_cases(
        _case(index, {"filter": {"level": level}}, "accepted") for index, level in enumerate([1, 1, 2])
    )
    assert [case.request.body["filter"]["level"] for case in ordered] == [1, 2, 1]  # type: ignore[union-attr]


def test_undocumented_texts_come_after_new_pairs_of_documented_values() -> None:
    bodies = [{"a": a, "b": b} for a, b in itertools.product(range(2), repeat=2)]
    documented = [_case(index, body, "accepted") for index, body in enumerate([*bodies, *bodies])]
    undocumented = [_case(10 + index, {"a": f"text {index}"}, "either", "undocumented") for index in range(3)]
    ordered = order_cases([*documented, *undocumented])
    # Four requests have every pair of two flags. The other four repeat them, so they wait for the new texts.
    assert [case.expected_response.case_kind for case in ordered] == ["valid"] * 4 + ["undocumented"] * 3 + [
        "valid"
    ] * 4


def test_forty_requests_cover_every_value_of_an_operation_with_five_fields() -> None:
    target = CATALOGUE.find_provider("pixelapi").find_target_by_name("voice-design")
    plan = plan_cases([target], is_emulated=False, include_all_billable_cases=True, max_billable_requests=FEW_CALLS)
    paid = [case for case in plan.cases if case.is_billable]
    assert sum(case.charged_request_count for case in paid) == FEW_CALLS
    sent = [case.request for case in paid if case.request is not None]
    for field in list_pairwise_fields([(target, map_speech_request(target, build_valid_speech_request(target)))]):
        assert {_value(wire, field) for wire in sent} >= {repr(value) for value in field.values}, field.name


def test_a_free_field_has_the_values_documented_for_the_target() -> None:
    targets = [target for target in TARGETS if target.id in ("ttsai/kokoro", "ttsai/piper")]
    starts = [(target, map_speech_request(target, build_valid_speech_request(target))) for target in targets]
    fields = {field.name: field for field in list_pairwise_fields(starts)}
    assert fields["language"].values == ("en", MISSING)
    assert not is_supported_value(targets[1], fields["language"], "ja")
    assert "user_voice_id" not in fields  # it takes the id of a resource, and no document prints one


def test_the_field_of_the_target_is_left_out_where_its_default_is_the_same() -> None:
    target = CATALOGUE.find_provider("ttsai").find_target_by_name("kokoro")
    ids = {case.id: case for case in plan_cases([target], is_emulated=True, include_all_billable_cases=True).cases}
    left_out = ids["ttsai/submitSpeech: optional model left out (application/json)"]
    assert left_out.expected_response.acceptance == "accepted"
    assert "model" not in left_out.request.body


def test_a_nullable_field_has_its_default() -> None:
    target = CATALOGUE.find_provider("pixazo").find_target_by_name("xtts-v2")
    fields = {
        field.name: field
        for field in list_pairwise_fields([(target, map_speech_request(target, build_valid_speech_request(target)))])
    }
    assert fields["webhook"].values == (None, MISSING)
    assert fields["webhook_events_filter"].values == (["*"], MISSING)


def test_query_parameters_are_combined_with_each_other_and_with_body_fields() -> None:
    target = CATALOGUE.find_provider("elevenlabs").find_target_by_name("multilingual-v2")
    start = (target, map_speech_request(target, build_valid_speech_request(target)))
    fields = {field.name: field for field in list_pairwise_fields([start])}
    assert fields["enable_logging"].location == "query"
    assert fields["enable_logging"].values == ("true", "false", MISSING)
    assert fields["seed"].values == (0, 4294967295, MISSING)  # of a field that may be null
    assert fields["voice_settings"].values == ({}, MISSING)
    sent = [case.request for case in plan_combination_cases([start])]
    assert any(wire.body.get("seed") == 0 and wire.query_parameters.get("enable_logging") == "false" for wire in sent)


def test_a_long_list_of_values_is_combined_in_part() -> None:
    target = CATALOGUE.find_provider("deepgram").find_target_by_name("aura-2")
    start = (target, map_speech_request(target, build_valid_speech_request(target)))
    fields = {field.name: field for field in list_pairwise_fields([start])}
    voices = fields["model"].values
    assert len(voices) == MAX_COMBINED_VALUES_PER_FIELD + 1
    assert (voices[0], voices[-1]) == ("aura-angus-en", MISSING)


def test_combinations_of_values_that_begin_alike_have_ids_of_their_own(acme_contracts) -> None:
    path = acme_contracts() / "acme" / "openapi.yaml"
    properties = "/paths/~1speak/post/requestBody/content/application~1json/schema/properties"
    styles = [f"https://cdn.acme.example/styles/of-the-studio/{name}" for name in ("warm", "calm")]
    path.write_text(changed_yaml(path.read_text(), {f"{properties}/style": {"type": "string", "enum": styles}}))
    (target,) = load_contract(path).targets.values()
    cases = list(plan_combination_cases([(target, map_speech_request(target, build_valid_speech_request(target)))]))
    assert {case.request.body["style"] for case in cases if "style" in case.request.body} == set(styles)
    assert len({case.id for case in cases}) == len(cases)
