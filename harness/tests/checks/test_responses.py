from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from voicegauge.checks import Call, CaseOutcome, Checker, ExpectedResponse, select_rules
from voicegauge.contract import Contract
from voicegauge.model import Provenance, Request, Severity

from ..builders.contracts import load_trusted
from .conftest import BASE


def test_a_response_as_documented_has_no_findings(submit, rules_of) -> None:
    assert rules_of(submit()) == set()
    assert rules_of(submit({"error": "too long"}, status=400)) == set()


@pytest.mark.parametrize(
    ("answer", "more", "rule"),
    [
        ({"id": 3, "state": "new"}, {}, "response-schema"),
        ({"state": "new"}, {}, "response-schema"),
        (b"{", {}, "body-not-json"),
        (b'{"id": NaN}', {}, "body-not-json"),
        (b'{"id": "\\ud800", "state": "new"}', {}, "body-not-json"),
        (b"", {}, "empty-body"),
        ({"error": {"code": 1}}, {"status": 400}, "error-shape"),
        ({"error": "later"}, {"status": 429}, "retry-after-missing"),
        ({"error": "teapot"}, {"status": 418}, "status-undocumented"),
        (b"<html>", {"headers": {"Content-Type": "text/html"}}, "content-type"),
        (b"{}", {"headers": {"Content-Type": ""}, "status": 418}, "status-undocumented"),
        (None, {"headers": {"X-Limit": ""}}, "header-missing"),
        (None, {"headers": {"X-Limit": "many"}}, "header-schema"),
        (None, {"asked": {"format": "wav"}}, "request-schema"),
        (None, {"asked": {"text": "x" * 101}}, "request-schema"),
    ],
)
def test_each_defect_is_found_by_its_rule(submit, rules_of, answer, more, rule) -> None:
    assert rules_of(submit(answer, **more)) == {rule}


@pytest.mark.parametrize(
    ("ignored_rules", "rules"),
    [((), {"server-error"}), (("server-error",), {"status-undocumented", "error-shape"})],
)
def test_a_server_error_with_an_undocumented_status_is_one_finding(submit, acme, ignored_rules, rules) -> None:
    call = submit(b"oops", status=500, headers={"Content-Type": "text/plain"})
    expected = ExpectedResponse(
        acceptance="rejected", case_kind="invalid", description="blank", contract_pointer="/paths"
    )
    checker = Checker(Provenance.LIVE, rules=select_rules(ignored_ids=ignored_rules))
    found = dict(checker.iterate_findings_by_subject([call, CaseOutcome(call, expected)]))
    assert {finding.rule for findings in found.values() for finding in findings} == rules
    ((_, findings),) = checker.iterate_findings_by_subject([call])
    assert {finding.rule for finding in findings} == {"status-undocumented", "error-shape"}


@pytest.mark.parametrize("body", [b"[" * 65 + b"]" * 65, b"[" * 100_000], ids=["65", "100000"])
def test_json_that_exceeds_a_limit_of_voicegauge_is_not_judged(submit, rules_of, body: bytes) -> None:
    call = submit(body)
    assert rules_of(call) == set()
    assert call.unread_body_reason == "the body of the response is nested deeper than 64, the limit of voicegauge"
    assert submit(b"{").unread_body_reason is None


def test_a_rejected_or_intentionally_invalid_request_is_not_a_finding(submit, rules_of) -> None:
    assert rules_of(submit({"error": "no"}, asked={}, status=400)) == set()
    assert rules_of(submit(asked={}, intent="invalid")) == set()


def test_a_url_that_the_provider_chose_lacks_no_parameter_of_its_path(poll, rules_of) -> None:
    call = poll({"state": "new"})
    exchange = msgspec.structs.replace(call.exchange, request=Request(method="GET", url=f"{BASE}/elsewhere/j1"))
    assert rules_of(Call(call.operation, exchange)) == set()


def test_a_finding_has_the_contract_statement_and_the_evidence(submit, judge, acme) -> None:
    (finding,) = judge(submit({"id": 3, "state": "new"}), mask_secrets=lambda text: text.replace("3", "***"))
    assert finding.where.contract_file == str(acme.document.path)
    assert (
        "properties: {id: {type: string}"
        in acme.document.path.read_text().splitlines()[finding.where.contract_line - 1]
    )
    assert finding.where.traffic_pointer == "/id"
    assert finding.evidence == "***"
    assert finding.where.target == "acme/voice-1"


def test_evidence_is_short_and_moves_no_cursor(submit, judge) -> None:
    (finding,) = judge(submit({"id": ["\x1b[2J" * 5000], "state": "new"}))
    assert len(finding.evidence) <= 240
    assert len(finding.message) <= 400
    assert (finding.evidence + finding.message).isprintable()


def test_a_hostile_body_gives_a_few_findings_not_a_million(submit, judge) -> None:
    assert len(judge(submit([1] * 100_000))) < 20


def test_traffic_that_keeps_another_documented_reading_is_disputed(submit, judge) -> None:
    findings = judge(submit({"ticket": 7}))
    assert {finding.rule for finding in findings} == {"response-schema"}
    assert {finding.severity for finding in findings} == {Severity.DISPUTED}
    assert findings[0].satisfied_claim == "The answer has a ticket instead of an id. (old.txt)"


def test_a_dispute_covers_only_its_statement(submit, judge) -> None:
    other_shape = judge(submit({"number": 7}))
    assert {finding.severity for finding in other_shape} == {Severity.ERROR}
    other_rule = judge(submit({"ticket": 7}, headers={"X-Limit": ""}))
    assert {(f.rule, f.severity) for f in other_rule} == {
        ("response-schema", Severity.DISPUTED),
        ("header-missing", Severity.ERROR),
    }


@pytest.mark.parametrize(
    ("characters", "used", "expected"),
    [
        (5, 5, set()),
        (5, 6, {("charge-wrong", "error")}),
        (6, 3, {("charge-wrong", "disputed")}),
        (5, 0, {("charge-wrong", "error")}),
        (5, "5.0", {("response-schema", "error")}),
        (5, 10**400, set()),  # no amount that can be reckoned with
    ],
)
def test_a_charge_is_the_documented_price(submit, judge, characters, used, expected) -> None:
    call = submit({"id": "j", "state": "new", "used": used}, asked={"text": "x" * characters})
    assert {(finding.rule, finding.severity.value) for finding in judge(call)} == expected


@pytest.fixture
def edited(tmp_path, submit):
    """The contract with an edit of its text."""

    def make(edit: Callable[[str], str]) -> Contract:
        path = tmp_path / "openapi.yaml"
        path.write_text(edit(submit().contract.document.path.read_text()))
        return load_trusted(path)

    return make


@pytest.mark.parametrize("sent", ["application/json", "Application/JSON;charset=UTF-8"])
@pytest.mark.parametrize("documented", ["application/json", "application/json; charset=utf-8"])
def test_a_charset_makes_no_other_media_type(edited, submit, rules_of, documented, sent) -> None:
    acme = edited(lambda text: text.replace("application/json:", f'"{documented}":'))
    call = Call(acme.find_operation("speak"), submit(headers={"Content-Type": sent}).exchange)
    assert rules_of(call) == set()
    assert rules_of(Call(acme.find_operation("speak"), submit({"id": 3, "state": "new"}).exchange)) == {
        "response-schema"
    }


@pytest.mark.parametrize(
    ("characters", "used", "right"),
    [(5, 0.005, True), (5, 0.01, True), (5, 0.02, False), (50, 0.05, True), (51, 0.06, True), (51, 0.07, False)],
)
def test_of_a_charge_in_dollars_a_part_of_a_cent_may_be_rounded_up(
    edited, submit, judge, characters, used, right
) -> None:
    def in_dollars(text: str) -> str:
        before, _, after = text.partition("        alternatives:")
        after = after.partition("      requestBody:")[2]
        in_usd = f"{before}      requestBody:{after}".replace("credits: 1000", "usd: 1")
        return in_usd.replace("  credits: {name: credits}\n", "")

    acme = edited(in_dollars)
    sent = submit({"id": "j", "state": "new", "used": used}, asked={"text": "x" * characters})
    call = Call(acme.find_operation("speak"), sent.exchange, acme.find_target_by_name("voice-1"))
    assert [finding.rule for finding in judge(call)] == ([] if right else ["charge-wrong"])


@pytest.mark.parametrize(
    ("used", "right"), [(104.2847, True), (104.285, True), (104.28, True), (104.3, True), (104, True), (103.9, False)]
)
def test_a_charge_may_be_rounded_to_the_decimals_that_it_shows(edited, submit, judge, used, right) -> None:
    acme = edited(lambda text: text.replace("credits: 1000", "credits: 20856.94").replace("credits: 500", "credits: 1"))
    sent = submit({"id": "j", "state": "new", "used": used})
    call = Call(acme.find_operation("speak"), sent.exchange, acme.find_target_by_name("voice-1"))
    # The documented price of "Hello" is 104.2847 credits. It may also be rounded up to 105 credits.
    assert [finding.rule for finding in judge(call)] == ([] if right else ["charge-wrong"])


@pytest.mark.parametrize(
    "condition",
    ["{properties: {state: {const: done}}}", "{allOf: [{properties: {state: {const: done}}}]}"],
)
@pytest.mark.parametrize(
    ("answer", "messages"),
    [
        ({}, ["'state' is a required property"]),
        ({"state": "done"}, ["'audio' is a required property"]),
        ({"state": "new"}, []),
        ({"state": "done", "audio": 1}, []),
    ],
)
def test_a_missing_key_is_one_finding_even_if_a_condition_depends_on_it(
    edited, poll, judge, condition, answer, messages
) -> None:
    """A condition over `properties` holds for an object without the key, so `then` would be required as well."""
    schema = f"{{type: object, required: [state], if: {condition}, then: {{required: [audio]}}}}"
    acme = edited(lambda text: text.replace("{schema: {type: object}}", f"{{schema: {schema}}}"))
    call = Call(acme.find_operation("status"), poll(answer).exchange)
    found = [finding for finding in judge(call) if finding.rule == "response-schema"]
    assert [finding.message.replace('"', "'") for finding in found] == messages
