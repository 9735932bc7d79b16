"""Which charges are wrong, and what the finding about one says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicegauge.contract.contract import Contract
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Finding
from voicegauge.rules.call import Call
from voicegauge.rules.charges import read_amount

from ..builders.contracts import load_text
from ..builders.documents import REMOVED, changed_yaml
from .conftest import DOCUMENT

SPEAK = "/paths/~1speak/post"
PRICE = f"{SPEAK}/x-pricing"
OF_TARGET = f"{SPEAK}/x-speech/targets/voice-1/pricing"
UNDISPUTED = changed_yaml(DOCUMENT, {f"{PRICE}/alternatives": REMOVED})
IN_DOLLARS = changed_yaml(
    DOCUMENT, {"/x-provider/credits": REMOVED, PRICE: {"unit": "1k_characters", "usd_per_unit": 0.03}}
)
WITH_TEMPLATE = changed_yaml(
    UNDISPUTED, {f"{SPEAK}/x-speech/request_fields/text": {"location": "body#/text", "text_template": "[slow] {}"}}
)


@pytest.fixture
def contract_of(tmp_path) -> Callable[[str], Contract]:
    def load(text: str) -> Contract:
        return load_text(tmp_path, text)

    return load


@pytest.fixture
def charged(submit, judge, contract_of) -> Callable[..., list[Finding]]:
    """The findings about a submit with a charge, under a contract."""

    def make(used: object, text: str = "Hello", document: str = DOCUMENT) -> list[Finding]:
        contract = contract_of(document)
        sent = submit({"id": "j1", "state": "new", "used": used}, asked={"text": text})
        call = Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))
        return [finding for finding in judge(call) if finding.rule == "charge-wrong"]

    return make


def parts(finding: Finding) -> tuple[str, str | None, str | None, str | None]:
    return finding.message, finding.where.contract_pointer, finding.where.traffic_pointer, finding.evidence


@pytest.mark.parametrize(
    ("document", "used", "expected"),
    [
        (DOCUMENT, 7, ("charged 7 credits; documented: 5", f"{SPEAK}/x-pricing", "/used", "body#/used: 7")),
        (
            DOCUMENT,
            2.5,
            (
                "charged 2.5 credits; documented: 5",
                f"{SPEAK}/x-pricing/alternatives/0",
                "/used",
                "body#/used: 2.5",
            ),
        ),
        (
            IN_DOLLARS,
            0.5,
            ("charged 0.5 USD; documented: 0.00015", f"{SPEAK}/x-pricing", "/used", "body#/used: 0.5"),
        ),
        (
            changed_yaml(DOCUMENT, {OF_TARGET: {"unit": "request", "credits_per_unit": 3}}),
            5,
            ("charged 5 credits; documented: 3", OF_TARGET, "/used", "body#/used: 5"),
        ),
    ],
)
def test_a_wrong_charge_is_compared_with_the_price_in_the_contract(charged, document, used, expected) -> None:
    assert [parts(finding) for finding in charged(used, document=document)] == [expected]


@pytest.mark.parametrize(
    ("used", "right"), [(0.00015, True), (0.005, True), (0.01, True), (0.0101, False), (0.0001, False), (0, False)]
)
def test_a_charge_below_a_cent_may_be_rounded_up_to_one(charged, used, right) -> None:
    assert (charged(used, document=IN_DOLLARS) == []) is right


@pytest.mark.parametrize(("used", "right"), [(2.5, True), (3, False), (2, False)])
def test_a_price_of_a_request_is_not_rounded_up(charged, used, right) -> None:
    document = changed_yaml(DOCUMENT, {OF_TARGET: {"unit": "request", "credits_per_unit": 2.5}})
    assert (charged(used, document=document) == []) is right


@pytest.mark.parametrize(("used", "right"), [(5, True), (6, True), (12, True), (13, True), (8, False), (14, False)])
def test_the_text_counts_with_or_without_what_the_template_adds(charged, used, right) -> None:
    """ "[slow] Hello" has twelve characters, five of them without the template; a part of a credit is rounded up."""
    document = changed_yaml(WITH_TEMPLATE, {f"{PRICE}/credits_per_unit": 1000.5})
    found = charged(used, "[slow] Hello", document=document)
    assert ([finding.message for finding in found] == []) is right


def test_both_counts_of_characters_are_named(charged) -> None:
    (finding,) = charged(8, "[slow] Hello", document=WITH_TEMPLATE)
    assert finding.message == "charged 8 credits; documented: 12 or 5"


def test_a_text_without_the_template_is_charged_as_it_is(charged) -> None:
    (finding,) = charged(8, "[s]", document=WITH_TEMPLATE)
    assert finding.message == "charged 8 credits; documented: 3"


@pytest.mark.parametrize("used", [None, True, "many", [], 10**400, "nan"])
def test_a_value_that_is_no_amount_is_left_to_the_schema(charged, used) -> None:
    assert charged(used) == []


@pytest.mark.parametrize(
    "changes",
    [
        {f"{PRICE}/unit": "minute", f"{PRICE}/alternatives/0/unit": "minute"},
        {f"{SPEAK}/x-speech/response/charge_location": REMOVED},
    ],
    ids=["a price for minutes of audio", "no documented location"],
)
def test_a_charge_is_not_judged_without_a_price_or_a_location(charged, changes) -> None:
    assert charged(10**6, document=changed_yaml(DOCUMENT, changes)) == []


IN_STATUS = changed_yaml(UNDISPUTED, {f"{SPEAK}/x-speech/response/charge_location": REMOVED})
"""The contract documents the charge in the status of a job only."""


@pytest.mark.parametrize(
    ("state", "cost", "message"),
    [
        ("done", 5, None),
        ("done", 7, "charged 7 credits; documented: 5"),
        ("new", 7, None),
        ("broken", 7, "charged 7 for a job that is documented as free"),
    ],
)
def test_the_charge_of_a_job_that_is_done_when_its_submit_is_answered(
    submit, judge, contract_of, state, cost, message
) -> None:
    """No status is asked for, which would have the charge."""
    contract = contract_of(IN_STATUS)
    location = contract.find_target_by_name("voice-1").job_operation.job.charge_location
    sent = submit({"id": "j1", "state": state, location.pointer_tokens[0]: cost}, asked={"text": "Hello"})
    call = Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))
    assert [one.message for one in judge(call) if one.rule == "charge-wrong"] == ([message] if message else [])


BY_TOKEN = {
    "unit": "1m_tokens",
    "usd_per_unit": 1,
    "usage": {"max_per_character": 2, "max_per_request": 10, "reported_usage_location": "body#/used"},
    "added_parts": [
        {
            "unit": "minute",
            "usd_per_unit": 2,
            "usage": {"max_per_request": 1.5, "reported_usage_location": "header.X-Limit"},
        }
    ],
}
WITH_USAGE = changed_yaml(DOCUMENT, {PRICE: BY_TOKEN})


@pytest.mark.parametrize(
    ("used", "seconds", "findings"),
    [
        (20, "1.5", []),
        (20.00001, "1.500001", []),
        (20 * (1 + 1e-6), "1", []),
        (
            None,
            "2",
            [
                (
                    "2 s reported for 5 characters; at most 1.5 s documented",
                    f"{SPEAK}/x-pricing/added_parts/0/usage",
                    None,
                    "2 s",
                )
            ],
        ),
        (
            21,
            "1",
            [
                (
                    "21 tokens reported for 5 characters; at most 20 tokens documented",
                    f"{SPEAK}/x-pricing/usage",
                    "/used",
                    "21 tokens",
                )
            ],
        ),
        (
            20,
            "2",
            [
                (
                    "2 s reported for 5 characters; at most 1.5 s documented",
                    f"{SPEAK}/x-pricing/added_parts/0/usage",
                    None,
                    "2 s",
                )
            ],
        ),
        (None, None, []),
    ],
)
def test_usage_beyond_the_documented_bound_is_found(contract_of, submit, judge, used, seconds, findings) -> None:
    contract = contract_of(WITH_USAGE)
    sent = submit({"id": "j1", "state": "new", "used": used}, asked={"text": "Hello"}, headers={"X-Limit": seconds})
    call = Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))
    assert [parts(finding) for finding in judge(call) if finding.rule == "usage-above-bound"] == findings


STREAMED = changed_yaml(
    DOCUMENT,
    {
        PRICE: {
            "unit": "1m_tokens",
            "usd_per_unit": 1,
            "usage": {"max_per_character": 2, "event_usage_location": "data#/used"},
        },
        f"{SPEAK}/x-speech/response": {"audio": {"location": "body", "delivery_method": "stream", "format": "wav"}},
        f"{SPEAK}/x-stream": {
            "event_type_location": "data#/type",
            "events": {
                "part": {"successor_names": ["part", "end"], "data_schema": {}},
                "end": {"terminal_outcome": "success", "data_schema": {}},
            },
            "audio": {"event_type": "part", "location": "data#/audio"},
        },
        f"{SPEAK}/responses/200/content/text~1event-stream": {},
    },
)


@pytest.mark.parametrize(("used", "findings"), [(10, []), (11, ["11 tokens"])])
def test_usage_that_only_the_last_event_of_a_stream_reports_is_judged(
    contract_of, submit, judge, used, findings
) -> None:
    contract = contract_of(STREAMED)
    stream = f'data: {{"type": "part", "audio": ""}}\n\ndata: {{"type": "end", "used": {used}}}\n\n'.encode()
    sent = submit(stream, headers={"Content-Type": "text/event-stream"})
    call = Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))
    found = [finding for finding in judge(call) if finding.rule == "usage-above-bound"]
    assert [(finding.evidence, finding.where.traffic_pointer) for finding in found] == [
        (text, None) for text in findings
    ]


@pytest.mark.parametrize(("used", "right"), [(5, True), (0.5, True), (3, False)])
def test_a_charge_may_be_that_of_any_plan(charged, used, right) -> None:
    document = changed_yaml(
        UNDISPUTED,
        {"/x-limits": {"plan_limits": {"pro": {}}}, f"{PRICE}/plan_prices": {"pro": {"credits_per_unit": 100}}},
    )
    assert (charged(used, document=document) == []) is right


def test_usage_is_not_judged_without_a_price(contract_of, submit, judge) -> None:
    contract = contract_of(changed_yaml(WITH_USAGE, {PRICE: REMOVED}))
    sent = submit({"id": "j1", "state": "new", "used": 99})
    assert judge(Call(contract.find_operation("speak"), sent.exchange, contract.find_target_by_name("voice-1"))) == []


def test_usage_is_not_judged_without_a_text_or_in_an_error(contract_of, submit, judge) -> None:
    contract = contract_of(WITH_USAGE)
    answer = {"id": "j1", "state": "new", "used": 99}
    rejected, without_text = submit(answer, status=400), submit(answer, asked={"text": 5})
    for sent, target in ((rejected, "voice-1"), (without_text, "voice-1"), (submit(answer), None)):
        found_target = contract.find_target_by_name(target) if target is not None else None
        call = Call(contract.find_operation("speak"), sent.exchange, found_target)
        assert "usage-above-bound" not in {finding.rule for finding in judge(call)}


def test_a_text_that_cannot_be_read_has_no_price(charged, submit, judge) -> None:
    sent = submit({"id": "j1", "state": "new", "used": 99}, asked={"text": 5})
    assert [finding.rule for finding in judge(sent)] == ["request-schema"]


def test_a_charge_in_an_error_or_of_an_unknown_target_is_not_judged(submit, rules_of, acme) -> None:
    assert "charge-wrong" not in rules_of(submit({"error": "busy", "used": 99}, status=400))
    sent = submit({"id": "j1", "state": "new", "used": 99})
    assert "charge-wrong" not in rules_of(Call(acme.find_operation("speak"), sent.exchange))


def test_a_free_job_costs_nothing(submit, poll, judge) -> None:
    broken = {"id": "j1", "state": "broken", "why": "no voice"}
    assert judge(poll({**broken, "used": 0}, submit=submit())) == []
    (finding,) = judge(poll({**broken, "used": 0.25}, submit=submit()))
    assert parts(finding) == (
        "charged 0.25 for a job that is documented as free",
        "/paths/~1jobs~1{id}/get/x-job/states",
        "/used",
        "body#/used",
    )


def test_the_charge_of_a_job_is_compared_with_the_text_of_its_submit(submit, poll, judge) -> None:
    done = {"id": "j1", "state": "done", "audio": "https://cdn/x.wav"}
    sent = submit(asked={"text": "x" * 20})
    assert judge(poll({**done, "used": 20}, submit=sent)) == []
    (finding,) = judge(poll({**done, "used": 21}, submit=sent))
    assert finding.message == "charged 21 credits; documented: 20"


@pytest.mark.parametrize(
    ("value", "amount"),
    [(MISSING, None), (None, None), (True, None), (False, None), ("0.5", 0.5), (2, 2.0), ("x", None), ({}, None)],
)
def test_an_amount_is_a_finite_number_or_its_text(value, amount) -> None:
    assert read_amount(value) == amount
    assert read_amount("inf") is None


CHAT_PRICE = "/paths/~1chat/post/x-pricing"
ANSWER = {"description": "Reply or refusal", "content": {"application/json": {"schema": {"type": "object"}}}}
WITH_CHAT = changed_yaml(
    DOCUMENT,
    {
        "/paths/~1chat": {
            "post": {
                "operationId": "chat",
                "x-chat": {
                    "text_location": "body#/text",
                    "reply_text_location": "body#/reply",
                    "reply_audio": {"location": "body#/audio", "delivery_method": "url"},
                    "emulated_target_name": "voice-1",
                    "charge_location": "body#/used",
                },
                "x-pricing": {"unit": "request", "credits_per_unit": 3},
                "requestBody": {
                    "content": {"application/json": {"schema": {"properties": {"text": {"type": "string"}}}}}
                },
                "responses": {"200": ANSWER, "400": ANSWER},
            }
        }
    },
)
WITH_CHAT_IN_DOLLARS = changed_yaml(
    WITH_CHAT,
    {"/x-provider/credits": REMOVED, PRICE: REMOVED, CHAT_PRICE: {"unit": "request", "usd_per_unit": 3}},
)


@pytest.fixture
def turn(contract_of, submit) -> Callable[..., Call]:
    """A turn of a chat with a charge, under a contract."""

    def make(used: object, document: str = WITH_CHAT, status: int = 200) -> Call:
        exchange = submit({"reply": "Hi", "used": used}, status=status).exchange
        return Call(contract_of(document).find_operation("chat"), exchange)

    return make


@pytest.mark.parametrize(
    ("document", "used", "message"),
    [
        (WITH_CHAT, 3, None),
        (WITH_CHAT, 4, "charged 4 credits for a turn; documented: 3"),
        (WITH_CHAT_IN_DOLLARS, 3, None),
        (WITH_CHAT_IN_DOLLARS, 0.25, "charged 0.25 USD for a turn; documented: 3"),
        (WITH_CHAT, None, None),
        # The price in credits is not documented.
        (changed_yaml(WITH_CHAT, {CHAT_PRICE: {"unit": "request", "usd_per_unit": 3}}), 4, None),
        (changed_yaml(WITH_CHAT, {CHAT_PRICE: REMOVED}), 4, None),
    ],
)
def test_a_turn_of_a_chat_costs_its_price(turn, judge, document, used, message) -> None:
    call = turn(used, document)
    expected = [(message, CHAT_PRICE, None, f"body#/used: {used}")] if message else []
    assert [parts(finding) for finding in judge(call) if finding.rule == "charge-wrong"] == expected


def test_a_rejected_turn_is_not_judged_by_its_charge(turn, judge) -> None:
    assert judge(turn(4, status=400)) == []
