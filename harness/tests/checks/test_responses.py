from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
import yaml

from voicegauge.contract.contract import Contract
from voicegauge.model.base import Provenance, Severity
from voicegauge.model.exchange import Request
from voicegauge.rules.call import Call, CaseOutcome, ExpectedResponse
from voicegauge.rules.checker import Checker
from voicegauge.rules.registry import select_rules

from ..builders.contracts import load_text
from ..builders.documents import REMOVED, changed_yaml
from .conftest import BASE, DOCUMENT

SPEAK = "/paths/~1speak/post"
PRICE = f"{SPEAK}/x-pricing"


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
    ("status", "severity"), [(202, "error"), (302, "error"), (402, "warning"), (404, "warning"), (503, "warning")]
)
def test_a_refusal_that_no_document_lists_is_a_warning(submit, judge, status: int, severity: str) -> None:
    found = judge(submit({"error": "no"}, status=status))
    assert {(finding.rule, finding.severity) for finding in found} == {("status-undocumented", Severity(severity))}


@pytest.mark.parametrize(
    ("pointer", "severity"),
    [("type", "warning"), ("enum", "warning"), ("maxLength", "error"), ("pattern", "error")],
)
def test_a_rejection_that_only_a_type_implies_is_a_warning(submit, judge, pointer: str, severity: str) -> None:
    call = submit()
    schema = f"{call.operation.pointer}/requestBody/content/application~1json/schema/properties/text"
    expected = ExpectedResponse(
        acceptance="rejected", case_kind="invalid", description="wrong text", contract_pointer=f"{schema}/{pointer}"
    )
    (finding,) = judge(CaseOutcome(call, expected))
    assert (finding.rule, finding.severity) == ("accepts-invalid", Severity(severity))


@pytest.mark.parametrize(
    ("retry_after", "responded_at", "message"),
    [
        ("0", None, None),
        ("30", None, None),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:01 GMT", None),  # rounded to seconds
        ("Wed Oct 21 07:28:30 2026", "Wed, 21 Oct 2026 07:28:00 GMT", None),  # the asctime form
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, None),  # when the service responded is not known
        (
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 2026 07:28:00 GMT",
            "before the response at 2026-10-21 07:28:00",
        ),
        ("-5", None, "neither a whole number of seconds nor a date"),
        ("1.5", None, "neither a whole number of seconds nor a date"),
        ("\u0663", None, "neither a whole number of seconds nor a date"),
        ("30 seconds", None, "neither a whole number of seconds nor a date"),
        ("Fri, 99 Dec 9999 99:99:99 GMT", None, "neither a whole number of seconds nor a date"),
    ],
)
def test_retry_after_is_a_delay_or_a_date_that_has_not_passed(
    submit, judge, retry_after: str, responded_at: str | None, message: str | None
) -> None:
    call = submit({"error": "later"}, status=429, headers={"Retry-After": retry_after, "Date": responded_at or ""})
    found = [finding for finding in judge(call) if finding.rule == "retry-after-invalid"]
    assert [finding.severity for finding in found] == ([Severity.WARNING] if message else [])
    assert all(message in finding.message for finding in found)
    assert all(finding.where.contract_pointer.endswith("/headers/Retry-After") for finding in found)


def test_retry_after_is_judged_without_documentation(submit, judge) -> None:
    (finding,) = judge(submit(headers={"Retry-After": "soon"}))
    assert finding.rule == "retry-after-invalid"
    assert finding.where.contract_pointer.endswith("/responses")


@pytest.mark.parametrize(
    ("ignored_rules", "rules"),
    [((), {"server-error"}), (("server-error",), {"status-undocumented"})],
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
    assert [finding.violated_rules for finding in findings] == [("status-undocumented", "error-shape")]


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
def changed(tmp_path) -> Callable[[Mapping[str, Any]], Contract]:
    """The contract with other values at JSON pointers."""

    def make(changes: Mapping[str, Any]) -> Contract:
        return load_text(tmp_path, changed_yaml(DOCUMENT, changes))

    return make


@pytest.mark.parametrize("sent", ["application/json", "Application/JSON;charset=UTF-8"])
@pytest.mark.parametrize("documented", ["application/json", "application/json; charset=utf-8"])
def test_a_charset_makes_no_other_media_type(changed, submit, rules_of, documented, sent) -> None:
    content = yaml.safe_load(DOCUMENT)["paths"]["/speak"]["post"]["responses"]["200"]["content"]
    acme = changed({f"{SPEAK}/responses/200/content": {documented: content["application/json"]}})
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
    changed, submit, judge, characters, used, right
) -> None:
    acme = changed({"/x-provider/credits": REMOVED, PRICE: {"unit": "1k_characters", "usd_per_unit": 1}})
    sent = submit({"id": "j", "state": "new", "used": used}, asked={"text": "x" * characters})
    call = Call(acme.find_operation("speak"), sent.exchange, acme.find_target_by_name("voice-1"))
    assert [finding.rule for finding in judge(call)] == ([] if right else ["charge-wrong"])


@pytest.mark.parametrize(
    ("used", "right"), [(104.2847, True), (104.285, True), (104.28, True), (104.3, True), (104, True), (103.9, False)]
)
def test_a_charge_may_be_rounded_to_the_decimals_that_it_shows(changed, submit, judge, used, right) -> None:
    acme = changed({f"{PRICE}/credits_per_unit": 20856.94, f"{PRICE}/alternatives/0/credits_per_unit": 1})
    sent = submit({"id": "j", "state": "new", "used": used})
    call = Call(acme.find_operation("speak"), sent.exchange, acme.find_target_by_name("voice-1"))
    # The documented price of "Hello" is 104.2847 credits. It may also be rounded up to 105 credits.
    assert [finding.rule for finding in judge(call)] == ([] if right else ["charge-wrong"])


@pytest.mark.parametrize(
    "condition",
    [{"properties": {"state": {"const": "done"}}}, {"allOf": [{"properties": {"state": {"const": "done"}}}]}],
    ids=["properties", "allOf"],
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
    changed, poll, judge, condition, answer, messages
) -> None:
    """A condition over `properties` holds for an object without the key, so `then` would be required as well."""
    schema = {"type": "object", "required": ["state"], "if": condition, "then": {"required": ["audio"]}}
    acme = changed({"/paths/~1jobs~1{id}/get/responses/200/content/application~1json/schema": schema})
    call = Call(acme.find_operation("status"), poll(answer).exchange)
    found = [finding for finding in judge(call) if finding.rule == "response-schema"]
    assert [finding.message.replace('"', "'") for finding in found] == messages


def test_an_error_with_a_success_status_is_called_that(submit, judge) -> None:
    call = submit({"error": "no such voice"})
    expected = ExpectedResponse(
        acceptance="rejected", case_kind="unknown-id", description="voice 'x'", contract_pointer="/paths"
    )
    found = {finding.rule: finding.message for finding in judge(CaseOutcome(call, expected))}
    assert found == {"accepts-invalid": "voice 'x': an error is sent with the success status 200"}


@pytest.mark.parametrize(("body", "is_found"), [({"detail": "no speed"}, True), ({"error": None}, False)])
def test_a_valid_request_to_which_an_error_is_sent_with_a_success_status_is_rejected(
    submit, judge, body: dict[str, object], is_found: bool
) -> None:
    expected = ExpectedResponse(
        acceptance="accepted", case_kind="valid", description="a job", contract_pointer="/paths"
    )
    found = [one.message for one in judge(CaseOutcome(submit(body), expected)) if one.rule == "rejects-valid"]
    assert found == (["a job: an error is sent with the success status 200"] if is_found else [])


def test_the_error_of_a_failed_job_is_no_rejection_whatever_else_is_wrong(poll, judge) -> None:
    expected = ExpectedResponse(
        acceptance="accepted", case_kind="valid", description="a job", contract_pointer="/paths"
    )
    outcome = CaseOutcome(poll({"state": "failed", "error": "no voice", "audio": 1}), expected)
    assert "rejects-valid" not in {finding.rule for finding in judge(outcome)}


def test_a_documented_response_with_an_error_is_no_rejection(changed, poll, judge) -> None:
    schema = {"type": "object", "required": ["state"]}
    acme = changed({"/paths/~1jobs~1{id}/get/responses/200/content/application~1json/schema": schema})
    call = Call(acme.find_operation("status"), poll({"state": "failed", "error": "no voice"}).exchange)
    expected = ExpectedResponse(
        acceptance="accepted", case_kind="valid", description="a job", contract_pointer="/paths"
    )
    assert "rejects-valid" not in {finding.rule for finding in judge(CaseOutcome(call, expected))}
