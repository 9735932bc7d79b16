"""Which charges are wrong, and what the finding about one says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicegauge.checks import Call
from voicegauge.checks.rules.charges import read_amount
from voicegauge.contract import MISSING, Contract
from voicegauge.model import Finding

from ..builders.contracts import load_trusted
from .conftest import DOCUMENT

HALF = DOCUMENT[DOCUMENT.index("        alternatives:") : DOCUMENT.index("      requestBody:")]
IN_DOLLARS = (
    DOCUMENT.replace("  credits: {name: credits}\n", "").replace("credits: 1000", "usd: 0.03").replace(HALF, "")
)
OF_TARGET = "model: voice-1-large, pricing: {per: request, credits: 3}"
WITH_TEMPLATE = DOCUMENT.replace('text: "body#/text"', 'text: {at: "body#/text", template: "[slow] {}"}').replace(
    HALF, ""
)


@pytest.fixture
def contract_of(tmp_path) -> Callable[[str], Contract]:
    def load(text: str) -> Contract:
        path = tmp_path / "openapi.yaml"
        path.write_text(text)
        return load_trusted(path)

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


SPEAK = "/paths/~1speak/post"


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
            DOCUMENT.replace("model: voice-1-large", OF_TARGET),
            5,
            (
                "charged 5 credits; documented: 3",
                f"{SPEAK}/x-speech/targets/voice-1/pricing",
                "/used",
                "body#/used: 5",
            ),
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
    document = DOCUMENT.replace("model: voice-1-large", OF_TARGET.replace("credits: 3", "credits: 2.5"))
    assert (charged(used, document=document) == []) is right


@pytest.mark.parametrize(("used", "right"), [(5, True), (6, True), (12, True), (13, True), (8, False), (14, False)])
def test_the_text_counts_with_or_without_what_the_template_adds(charged, used, right) -> None:
    """ "[slow] Hello" has twelve characters, five of them without the template; a part of a credit is rounded up."""
    found = charged(used, "[slow] Hello", document=WITH_TEMPLATE.replace("credits: 1000", "credits: 1000.5"))
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
    "edit",
    [
        lambda text: text.replace("per: 1k_characters", "per: minute"),
        lambda text: text.replace(', charged: "body#/used"}', "}"),
    ],
    ids=["a price for minutes of audio", "no documented location"],
)
def test_a_charge_is_not_judged_without_a_price_or_a_location(charged, edit) -> None:
    assert charged(10**6, document=edit(DOCUMENT)) == []


BY_TOKEN = """per: 1m_tokens
        usd: 1
        usage: {max_per_character: 2, max_per_request: 10, reported: "body#/used"}
        plus: [{per: minute, usd: 2, usage: {max_per_request: 1.5, reported: "header.X-Limit"}}]
"""
WITH_USAGE = DOCUMENT.replace("per: 1k_characters\n        credits: 1000\n", BY_TOKEN).replace(HALF, "")


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
                    f"{SPEAK}/x-pricing/plus/0/usage",
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
                    f"{SPEAK}/x-pricing/plus/0/usage",
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


STREAMED = (
    WITH_USAGE.replace(
        BY_TOKEN, "{per: 1m_tokens, usd: 1, usage: {max_per_character: 2, reported_in_event: data#/used}}\n"
    )
    .replace(
        'response: {job: status, charged: "body#/used"}',
        "response: {audio: {at: body, delivered: stream, format: wav}}",
    )
    .replace(
        "      x-pricing:",
        """\
      x-stream:
        event_type: data#/type
        events: {part: {next: [part, end], schema: {}}, end: {end: success, schema: {}}}
        audio: {event: part, at: data#/audio}
      x-pricing:""",
    )
    .replace("          content:\n", "          content:\n            text/event-stream: {}\n", 1)
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
    document = DOCUMENT.replace(HALF, "").replace("paths:\n", "x-limits: {plans: {pro: {}}}\npaths:\n", 1)
    document = document.replace("credits: 1000\n", "credits: 1000\n        plans: {pro: {credits: 100}}\n")
    assert (charged(used, document=document) == []) is right


def test_usage_is_not_judged_without_a_price(contract_of, submit, judge) -> None:
    price = WITH_USAGE[WITH_USAGE.index("      x-pricing:") : WITH_USAGE.index("      requestBody:")]
    contract = contract_of(WITH_USAGE.replace(price, ""))
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


WITH_CHAT = DOCUMENT.replace(
    "components:\n",
    """\
  /chat:
    post:
      operationId: chat
      x-chat:
        text: body#/text
        reply: body#/reply
        reply_audio: {at: body#/audio, delivered: url}
        emulation_target: voice-1
        charged: body#/used
      x-pricing: {per: request, credits: 3}
      requestBody: {content: {application/json: {schema: {properties: {text: {type: string}}}}}}
      responses:
        "200": {description: Reply, content: {application/json: {schema: {type: object}}}}
        "400": {description: Refused, content: {application/json: {schema: {type: object}}}}
components:
""",
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
        (WITH_CHAT.replace("  credits: {name: credits}\n", "").replace("credits: ", "usd: "), 3, None),
        (
            WITH_CHAT.replace("  credits: {name: credits}\n", "").replace("credits: ", "usd: "),
            0.25,
            "charged 0.25 USD for a turn; documented: 3",
        ),
        (WITH_CHAT, None, None),
        (WITH_CHAT.replace("credits: 3}", "usd: 3}"), 4, None),  # the price in credits is not documented
        (WITH_CHAT.replace("      x-pricing: {per: request, credits: 3}\n", ""), 4, None),
    ],
)
def test_a_turn_of_a_chat_costs_its_price(turn, judge, document, used, message) -> None:
    call = turn(used, document)
    expected = [(message, "/paths/~1chat/post/x-pricing", None, f"body#/used: {used}")] if message else []
    assert [parts(finding) for finding in judge(call) if finding.rule == "charge-wrong"] == expected


def test_a_rejected_turn_is_not_judged_by_its_charge(turn, judge) -> None:
    assert judge(turn(4, status=400)) == []
