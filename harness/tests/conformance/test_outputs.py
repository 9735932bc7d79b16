"""JUnit, SARIF, annotations and baselines of `voicegauge check`, parsed as their consumers parse them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
from junitparser import JUnitXml
from sarif_pydantic import Sarif

from voicegauge import cli
from voicegauge.conformance.check_report import (
    CheckReport,
    apply_baseline,
    build_check_baseline,
    describe_result,
    export_check_report,
)
from voicegauge.conformance.coverage import CoverageEntry
from voicegauge.conformance.finding_groups import group_effects, group_findings_of_service, merge_findings
from voicegauge.files import find_bundled_folder
from voicegauge.model.base import Finding, FindingLocation, Provenance, Severity
from voicegauge.outputs.finding_exports import (
    ExportedReport,
    format_junit_xml,
    format_sarif_json,
    format_workflow_commands,
)
from voicegauge.outputs.result_summary import format_summary_markdown
from voicegauge.report.result_summaries import summarize

from ..builders.small_disk import small_disk

KEY = "sk-acme-0123456789abcdef"
HOSTILE = "\x00\x1b[31m 100%,\r\n::error::x ]]> <b> | `@all` \ud800é"


def finding(**changes) -> Finding:
    where = {
        "provider": "acme",
        "operation": "speak",
        "contract_file": str(Path.cwd() / "a, b.yaml"),
        "contract_line": 7,
    }
    given = {
        "rule": "response-schema",
        "severity": Severity.ERROR,
        "message": HOSTILE,
        "where": FindingLocation(**where),
    }
    return Finding(**{**given, "provenance": Provenance.EMULATED, **changes})


def check_report(*findings: Finding) -> CheckReport:
    return CheckReport(
        voicegauge_version="0", created_at="2026-01-01T00:00:00+00:00", is_finished=True, seed=0,
        targets=("acme/voice-1",),
        operations=("acme/speak", "acme/list"), findings=findings,
    )  # fmt: skip


def report(*findings: Finding, strict: bool = False) -> ExportedReport:
    return export_check_report(check_report(*findings), fail_on_warnings=strict)


@pytest.fixture
def check(acme, acme_contracts, monkeypatch, capfd, tmp_path):
    """Run `voicegauge check acme --live` at a provider that accepts anything; returns status and output."""
    monkeypatch.setenv("ACME_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    acme.accepts_anything = True

    def run(*more: str):
        arguments = ["check", "acme", "--contracts", str(acme_contracts()), "--live", "--base-url", acme.url, *more]
        status = cli.run(arguments)
        out, err = capfd.readouterr()
        return status, out, err

    return run


def test_junit_is_read_by_a_parser_with_the_right_counts() -> None:
    warning = finding(rule="retry-after-missing", severity=Severity.WARNING)
    for strict, failures in ((False, 1), (True, 2)):
        text = format_junit_xml(report(finding(), warning, strict=strict)).encode("utf-8", "strict")
        (suite,) = JUnitXml.fromstring(text)
        assert (suite.name, suite.tests, suite.failures, suite.errors) == ("acme", 3, failures, 0)
        assert "follows its contract" in [case.name for case in suite if not case.result]
        assert sum(bool(case.result) for case in suite) == failures


def test_junit_of_a_run_names_rule_operation_and_command(check) -> None:
    status, _, _ = check("--junit", "out/junit.xml", "--max-cost", "1")
    (suite,) = JUnitXml.fromfile("out/junit.xml")
    (broken,) = [case for case in suite if case.result]
    assert status == 1
    assert (broken.classname, broken.name) == ("acme.speak", "accepts-invalid")
    assert "curl" in broken.result[0].text
    assert KEY not in Path("out/junit.xml").read_text()


def test_sarif_is_valid_and_every_result_has_a_rule_and_a_location(check) -> None:
    check("--sarif", "out.sarif")
    text = Path("out.sarif").read_text()
    log = json.loads(text)
    (run,) = Sarif.model_validate(log).runs
    rules = [rule.id for rule in run.tool.driver.rules]
    assert run.results
    for result in run.results:
        assert rules[result.rule_index] == result.rule_id
        place = result.locations[0].physical_location
        document = Path(unquote(place.artifact_location.uri))
        assert document.is_file()
        assert 1 <= place.region.start_line <= len(document.read_text().splitlines())
    prints = [result["partialFingerprints"]["voicegauge/v1"] for result in log["runs"][0]["results"]]
    assert len(set(prints)) == len(prints)
    assert KEY not in text


def test_sarif_shows_a_bundled_contract_at_the_file_that_asked_for_the_check(tmp_path, monkeypatch) -> None:
    workflow = tmp_path / ".github" / "workflows" / "speech.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("name: speech\n")
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", "acme/app/.github/workflows/speech.yml@refs/heads/main")
    (result,) = json.loads(format_sarif_json(report(finding()), tmp_path))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": ".github/workflows/speech.yml"}, "region": {"startLine": 1}}
    related = result["relatedLocations"][0]["physicalLocation"]
    assert related["artifactLocation"]["uri"].endswith("/a%2C%20b.yaml")
    assert related["region"] == {"startLine": 7}
    assert result["partialFingerprints"]["primaryLocationLineHash"] == f"{finding().fingerprint}:1"


@pytest.mark.parametrize("is_in_action", [True, False])
def test_a_missing_baseline_says_how_to_write_it_also_as_an_annotation(check, monkeypatch, is_in_action) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", str(is_in_action).lower())
    flags = () if is_in_action else ("--github",)
    status, out, err = check("--baseline", "known.json", *flags)
    message = "the baseline known.json does not exist: write it with --write-baseline known.json"
    assert (status, out) == (2, "")
    # Before anything is planned, and so before a line about the plan.
    assert err.splitlines() == [f"voicegauge: {message}", f"::error title=voicegauge::{message}"]


def test_sarif_with_hostile_text_and_files_outside_the_repository_is_valid(tmp_path: Path) -> None:
    text = format_sarif_json(report(finding(message="\x00\x1b100%")), tmp_path)
    (result,) = json.loads(text)["runs"][0]["results"]
    assert result["message"]["text"] == "\x00\x1b100%"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("file:///")


def test_sarif_names_a_bundled_contract_without_a_folder_of_this_machine(tmp_path: Path) -> None:
    file = find_bundled_folder("contracts") / "pixelapi" / "openapi.yaml"
    found = finding(where=FindingLocation(provider="pixelapi", contract_file=str(file), contract_line=7))
    text = format_sarif_json(report(found), tmp_path)
    (result,) = json.loads(text)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "voicegauge/contracts/pixelapi/openapi.yaml"
    assert place["region"] == {"startLine": 7}
    assert str(find_bundled_folder("contracts").parent) not in text


def test_operations_beyond_the_coverage_are_explained() -> None:
    entry = CoverageEntry(kind="operation", operation_or_provider="acme/speak", name="speak", conforming_count=1)
    report = msgspec.structs.replace(check_report(), coverage=(entry,))
    assert "2 operations (1 of them webhooks or WebSockets): no findings" in describe_result(report)
    excluded = msgspec.structs.replace(report, excluded_operations=("acme/list",))
    assert "2 operations: no findings" in describe_result(excluded)
    assert "2 operations: no findings" in describe_result(check_report())


def test_sarif_of_a_check_that_ended_early_says_why() -> None:
    for message in ("interrupted", "--max-time 20 was over"):
        stopped = msgspec.structs.replace(check_report(), is_finished=False, stop_message=message)
        (run,) = json.loads(format_sarif_json(export_check_report(stopped), Path.cwd()))["runs"]
        (invocation,) = run["invocations"]
        assert invocation["executionSuccessful"] is False
        (note,) = invocation["toolExecutionNotifications"]
        assert note == {"level": "error", "message": {"text": f"{message}: not everything was judged"}}
        Sarif.model_validate(json.loads(format_sarif_json(export_check_report(stopped), Path.cwd())))


def test_a_finding_in_two_operations_has_two_entries_and_is_counted_once() -> None:
    elsewhere = FindingLocation(provider="acme", operation="list", contract_pointer="/list")
    found = check_report(finding(message="wrong id", other_places=(elsewhere,)))
    baseline = build_check_baseline(found)
    messages = {entry.operation: entry.message for entry in baseline.accepted_findings}
    assert messages == {"speak": "wrong id", "list": "as in speak: wrong id"}
    accepted = apply_baseline(found, baseline)
    assert describe_result(accepted).endswith("no findings, 1 accepted by the baseline (2 entries)")
    once = check_report(finding())
    assert describe_result(apply_baseline(once, build_check_baseline(once))).endswith("1 accepted by the baseline")


def test_the_summary_names_three_of_many_targets() -> None:
    names = [f"acme/voice-{number}" for number in range(1, 1236)]
    left_out, unjudged = dict.fromkeys(names, "it is beyond --max-calls"), dict.fromkeys(names[:3], "no response")
    many = msgspec.structs.replace(
        check_report(), left_out_reason_by_target=left_out, not_judged_reason_by_name=unjudged
    )
    named = "acme/voice-1, acme/voice-2, acme/voice-3"
    assert describe_result(many).endswith(f", not judged: {named}, left out: {named} and 1,232 more")


def read_command(line: str) -> tuple[str, dict[str, str], str]:
    """Parse a workflow command as the GitHub runner does: unescaped in reverse order."""
    kind, properties, data = re.fullmatch(r"::(\w+) (.*?)::(.*)", line).groups()

    def plain(text: str) -> str:
        for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            text = text.replace(code, character)
        return text

    pairs = (pair.split("=", 1) for pair in properties.split(","))
    return kind, {name: plain(value) for name, value in pairs}, plain(data)


def test_an_annotation_is_one_line_that_reads_back_whole() -> None:
    (line,) = format_workflow_commands(report(finding()), Path.cwd()).removesuffix("\n").split("\n")
    kind, properties, message = read_command(line)
    assert kind == "error"
    assert properties == {"file": "a, b.yaml", "line": "7", "title": "response-schema acme/speak"}
    assert message.startswith(HOSTILE)


def test_severities_become_commands_and_a_file_elsewhere_is_left_out(tmp_path: Path) -> None:
    found = [finding(severity=severity) for severity in (Severity.INFO, Severity.WARNING, Severity.DISPUTED)]
    lines = [read_command(line) for line in format_workflow_commands(report(*found), tmp_path).splitlines()]
    assert [kind for kind, _, _ in lines] == ["warning", "notice", "notice"]
    assert all("file" not in properties for _, properties, _ in lines)


def test_github_annotations_are_written_on_request(check, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    _, out, _ = check()
    assert "::error" not in out
    _, out, _ = check("--github")
    commands = [read_command(line) for line in out.splitlines() if line.startswith("::")]
    assert {properties["file"] for _, properties, _ in commands} == {"my-contracts/acme/openapi.yaml"}
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n## voicegauge check acme\n")
    rows = [line for line in summary.splitlines() if re.match(r"\| \w+ \| accepts-invalid \|", line)]
    assert len(rows) == len(commands)
    assert all(re.search(r"\| my-contracts/acme/openapi\.yaml:\d+ \| <code>curl ", row) for row in rows)
    assert KEY not in summary + out


def test_a_full_disk_does_not_hide_the_result(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["check", "pixelapi"]) == 0
    result = capsys.readouterr().out
    outputs = ["--json", "out.json", "--junit", "out.xml", "--sarif", "out.sarif", "--write-baseline", "known.json"]
    with small_disk(0):
        assert cli.run(["check", "pixelapi", *outputs]) == 2
    printed = capsys.readouterr()
    assert printed.out == result
    files = ("known.json", "out.json", "out.xml", "out.sarif")
    assert printed.err == f"voicegauge: {'; '.join(f'cannot write {file}: File too large' for file in files)}\n"
    assert list(tmp_path.iterdir()) == []


def test_github_and_json_do_not_share_standard_output(check) -> None:
    status, out, err = check("--github", "--json", "-")
    assert (status, out) == (2, "")
    assert "give --json a file" in err


@pytest.mark.parametrize("option", ["--markdown", "--slack", "--prometheus", "--junit", "--sarif", "--html"])
def test_only_json_is_written_to_standard_output(check, option, tmp_path) -> None:
    status, out, err = check(option, "-")
    assert (status, out) == (2, "")
    assert f"Invalid value for '{option}': only JSON and reports can be written to standard output: name a file" in err
    assert not (tmp_path / "-").exists()


def test_a_baseline_accepts_known_findings_and_new_ones_fail(check, acme) -> None:
    status, _, err = check("--write-baseline", "known.json")
    accepted = len(json.loads(Path("known.json").read_text())["accepted_findings"])
    assert (status, f"wrote known.json: accepts {accepted} findings" in err) == (0, True)
    status, out, _ = check("--baseline", "known.json")
    assert status == 0
    assert "accepted by the baseline" in out
    known = json.loads(Path("known.json").read_text())
    assert known["schema"] == "voicegauge/baseline/1"
    known["accepted_findings"].pop()
    Path("known.json").write_text(json.dumps(known))
    status, _, _ = check("--baseline", "known.json", "--json", "out.json", "--sarif", "out.sarif")
    written = json.loads(Path("out.json").read_text())
    assert status == 1
    assert len(written["findings"]) == 1
    results = json.loads(Path("out.sarif").read_text())["runs"][0]["results"]
    assert sum("suppressions" in result for result in results) == len(written["accepted_findings"]) > 0
    acme.accepts_anything = False
    status, out, _ = check("--baseline", "known.json")
    assert status == 0
    assert out.count("take it out of the baseline") == len(known["accepted_findings"])


def test_a_baseline_entry_is_unused_only_after_a_complete_check_with_its_rule() -> None:
    def look(*findings: Finding, finished: bool = True, rules: tuple[str, ...] = ()) -> CheckReport:
        return CheckReport(
            voicegauge_version="0",
            created_at="2026-01-01T00:00:00+00:00",
            is_finished=finished,
            seed=0,
            targets=("acme/voice-1",),
            rules=rules,
            operations=("acme/speak",),
            findings=findings,
        )

    known = build_check_baseline(look(finding()))
    (unused,) = apply_baseline(look(), known).unused_baseline_entries
    assert unused.endswith(f" ({finding().fingerprint})")
    assert apply_baseline(look(finished=False), known).unused_baseline_entries == ()
    assert apply_baseline(look(rules=("accepts-invalid",)), known).unused_baseline_entries == ()


def test_a_fingerprint_does_not_depend_on_lines_wording_or_list_indexes() -> None:
    def seen(line: int, pointer: str, **more: object) -> str:
        where = FindingLocation(
            provider="acme",
            operation="speak",
            contract_line=line,
            traffic_pointer=pointer,
            contract_pointer="/paths",
            **more,
        )
        return finding(where=where, message=str(line)).fingerprint

    assert seen(1, "/items/0/id") == seen(9, "/items/12/id", contract_file="other.yaml", target="acme/voice-2")
    assert seen(1, "/items/0/id") != seen(1, "/items/0/name")


def test_a_grouped_finding_names_every_different_value() -> None:
    wrong = [f"expected {name}, got mp3" for name in ("opus", "aac", "opus", "flac", "opus")]
    (merged,) = merge_findings(finding(message=message) for message in wrong)
    assert (merged.message, merged.occurrence_count) == (wrong[0], 5)
    assert merged.message_counts == {wrong[0]: 3, wrong[1]: 1, wrong[3]: 1}
    assert json.loads(msgspec.json.encode(merged))["message_counts"] == merged.message_counts
    exported = report(merged)
    for text in (
        format_junit_xml(exported),
        format_sarif_json(exported, Path.cwd()),
        format_workflow_commands(exported, Path.cwd()),
        format_summary_markdown(summarize(check_report(merged))),
    ):
        assert all(f"expected {name}, got mp3" in text for name in ("opus", "aac", "flac"))
    (same,) = merge_findings(finding(message=wrong[0]) for _ in range(3))
    assert (same.occurrence_count, same.message_counts) == (3, {})


def test_a_finding_is_shown_on_the_most_usual_request() -> None:
    kinds = {"without a key": 3, "plain": 1, "delivery": 0}
    found = [finding(case_id=name, evidence=name) for name in ("without a key", "delivery", "plain")]
    (merged,) = merge_findings(found, kinds)
    assert (merged.case_id, merged.evidence, merged.occurrence_count) == ("delivery", "delivery", 3)


@pytest.mark.parametrize(
    ("cases_by_rule", "expected"),
    [
        (
            {"audio-of-other-text": "a", "spoken-text-other": "a", "audio-swapped": "a"},
            {("audio-swapped", "audio-of-other-text", "spoken-text-other")},
        ),
        (
            {"audio-of-other-text": "b", "spoken-text-other": "abc", "audio-length": "c", "audio-swapped": "b"},
            {("spoken-text-other", "audio-length", "audio-swapped", "audio-of-other-text")},
        ),
        # In case d the audio is too short for another reason, so it remains a finding of its own.
        (
            {"spoken-text-other": "abc", "audio-length": "cd"},
            {("spoken-text-other",), ("audio-length",)},
        ),
        ({"audio-not-audio": "ab", "audio-silent": "b"}, {("audio-not-audio", "audio-silent")}),
        ({"audio-not-speech": "abc", "format-changes-speech": "bc"}, {("audio-not-speech", "format-changes-speech")}),
    ],
)
def test_what_follows_from_wrong_audio_in_all_of_its_cases_is_one_finding(cases_by_rule, expected) -> None:
    found = [finding(rule=rule, case_id=case, message=rule) for rule, cases in cases_by_rule.items() for case in cases]
    other = finding(rule="spoken-text-other", case_id="a", severity=Severity.WARNING)
    merged = merge_findings([*group_effects(found), other])
    assert {one.violated_rules for one in merged[:-1]} == expected
    assert all(one.same_cause_messages == {rule: rule for rule in one.violated_rules[1:]} for one in merged[:-1])
    assert merged[-1] == other
    counts = {one.rule: one.occurrence_count for one in merged[:-1]}
    assert counts == {rules[0]: len(cases_by_rule[rules[0]]) for rules in expected}


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        # The chain from a body without output to missing audio has one beginning.
        (
            {"response-schema": "/url", "job-completed-without-output": "/url", "audio-missing": None},
            {("response-schema", "job-completed-without-output", "audio-missing")},
        ),
        # The schema is violated by another value.
        (
            {"response-schema": "/cost", "job-completed-without-output": "/url", "audio-missing": None},
            {("response-schema",), ("job-completed-without-output", "audio-missing")},
        ),
        ({"content-type": None, "audio-media-type": None}, {("content-type", "audio-media-type")}),
        ({"retry-after-invalid": None, "charge-wrong": None}, {("retry-after-invalid",), ("charge-wrong",)}),
    ],
)
def test_what_follows_from_a_wrong_response_is_one_finding(causes, expected) -> None:
    found = [
        finding(rule=rule, case_id="a", where=FindingLocation(provider="acme", operation="speak", traffic_pointer=at))
        for rule, at in causes.items()
    ]
    assert {one.violated_rules for one in group_effects(found)} == expected


def test_what_follows_from_a_wrong_value_is_named_with_the_finding_about_this_value() -> None:
    def at_value(rule: str, pointer: str) -> Finding:
        where = FindingLocation(provider="acme", operation="speak", traffic_pointer=pointer)
        return finding(rule=rule, case_id="a", where=where, message=f"{rule} {pointer}")

    cost, url, state = (at_value("response-schema", pointer) for pointer in ("/cost", "/url", "/state"))
    effects = [at_value("job-completed-without-output", "/url"), at_value("job-state-unknown", "/state")]
    no_audio = finding(rule="audio-missing", case_id="a", message="no audio")
    in_other_case = msgspec.structs.replace(cost, case_id="b")  # makes the schema the most frequent cause
    found = [cost, url, state, *effects, no_audio, in_other_case]
    grouped = {one.where.traffic_pointer: one.same_cause_messages for one in group_effects(found)}
    assert grouped == {
        "/cost": {},
        "/url": {
            "job-completed-without-output": "job-completed-without-output /url",
            "audio-missing": "no audio",
        },
        "/state": {"job-state-unknown": "job-state-unknown /state"},
    }


def test_a_less_severe_effect_belongs_to_its_cause_and_a_more_severe_one_does_not() -> None:
    header = finding(rule="header-schema", case_id="a")
    date = finding(rule="retry-after-invalid", case_id="a", severity=Severity.WARNING)
    assert [one.violated_rules for one in group_effects([date, header])] == [("header-schema", "retry-after-invalid")]
    warning = msgspec.structs.replace(header, severity=Severity.WARNING)
    error = msgspec.structs.replace(date, severity=Severity.ERROR)
    assert len(group_effects([warning, error])) == 2


def at(operation: str, pointer: str, **changes) -> Finding:
    where = FindingLocation(
        provider=changes.pop("provider", "acme"), operation=operation, contract_pointer=pointer, contract_file="a.yaml"
    )
    return finding(where=where, **changes)


def test_what_contradicts_one_statement_in_several_operations_is_one_finding() -> None:
    found = [at("speak", "/Error"), at("list", "/Error"), at("list", "/Voice"), at("list", "/Error", provider="other")]
    grouped = group_findings_of_service(merge_findings([*found, *found]))
    assert [(len(one.locations), one.occurrence_count) for one in grouped] == [(2, 4), (1, 2), (1, 2)]
    assert [place.operation for place in grouped[0].locations] == ["speak", "list"]


def test_what_a_service_does_in_each_operation_is_one_finding_with_all_messages() -> None:
    wrong = [at(name, f"/{name}", message=f"{name}: 203", common_cause="status 203") for name in ("a", "b", "c")]
    (grouped,) = group_findings_of_service([*wrong, at("a", "/a", message="again", common_cause="status 203")])
    assert grouped.message_counts == {"a: 203": 1, "b: 203": 1, "c: 203": 1, "again": 1}
    assert [place.operation for place in grouped.other_places] == ["b", "c"]
    other = at("d", "/d", common_cause="status 418")
    warning = at("e", "/e", common_cause="status 203", severity=Severity.WARNING)
    assert len(group_findings_of_service([*wrong, other, warning])) == 3


def test_a_baseline_accepts_a_finding_of_a_service_only_if_it_has_each_of_its_operations() -> None:
    both = group_findings_of_service([at("speak", "/Error"), at("list", "/Error")])
    report = check_report(*both)
    baseline = build_check_baseline(report)
    assert len(baseline.accepted_findings) == 2
    accepted = apply_baseline(report, baseline)
    assert (accepted.findings, accepted.accepted_findings, accepted.unused_baseline_entries) == ((), both, ())
    one_left = apply_baseline(check_report(at("list", "/Error")), baseline)
    assert (one_left.findings, len(one_left.unused_baseline_entries)) == ((), 1)
    of_one = build_check_baseline(check_report(at("list", "/Error")))
    assert apply_baseline(report, of_one).findings == both


def test_every_output_names_the_other_operations_of_a_finding() -> None:
    (grouped,) = group_findings_of_service([at("speak", "/Error"), at("list_voices", "/Error")])
    exported = report(grouped)
    texts = (
        format_junit_xml(exported),
        format_sarif_json(exported, Path.cwd()),
        format_workflow_commands(exported, Path.cwd()),
        format_summary_markdown(summarize(check_report(grouped))).replace("\\", ""),
    )
    assert ["list_voices" in text for text in texts] == [True] * len(texts)


def test_a_hostile_service_cannot_fill_a_finding_with_messages() -> None:
    (merged,) = merge_findings(finding(message=f"got {value}") for value in range(1000))
    assert (merged.occurrence_count, len(merged.message_counts)) == (1000, 100)


def test_the_terminal_names_every_different_value(check) -> None:
    status, out, _ = check("--select", "accepts-invalid")
    assert status == 1
    shown = [line.strip() for line in out.splitlines() if "accepted with 200" in line]
    listed = json.loads(check("--select", "accepts-invalid", "--json", "-")[1])["findings"]
    several = [one["message_counts"] for one in listed if len(one["message_counts"]) > 1 and one["message"] in out]
    assert several
    assert all(any(line.startswith(message) for line in shown) for messages in several for message in messages)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "voicegauge/baseline/2"}', '{"accepted_findings": [{}]}'])
def test_an_invalid_baseline_is_reported_in_one_line(check, text) -> None:
    Path("known.json").write_text(text)
    status, _, err = check("--baseline", "known.json")
    assert status == 2
    assert "known.json is not a valid baseline" in err
    assert "Traceback" not in err


def test_a_result_that_is_named_as_a_baseline_is_said_to_be_one(check) -> None:
    check("--json", "result.json")
    status, _, err = check("--baseline", "result.json")
    assert status == 2
    assert "result.json is a result of another kind (voicegauge/check/2, as --json writes it), not a baseline; " in err
    assert "write one with `--write-baseline FILE` instead of `--baseline`" in err


def test_the_severity_of_a_rule_can_be_set_by_flag_and_by_settings(check) -> None:
    case = ("--case", "acme/speak: text of 0 characters")
    assert check(*case, "--severity", "accepts-invalid=warning")[0] == 0
    assert check(*case, "--severity", "accepts-invalid=warning", "--strict")[0] == 1
    assert check(*case, "--severity", "accepts-invalid=info", "--strict")[0] == 0
    Path("voicegauge.toml").write_text('[check.severity]\naccepts-invalid = "warning"\n')
    assert check(*case)[0] == 0
    assert check(*case, "--severity", "accepts-invalid=error")[0] == 1


@pytest.mark.parametrize("value", ["accepts-invalid", "accepts-invalid=fatal", "accepts-invalid=disputed", "=error"])
def test_an_invalid_severity_is_reported_in_one_line(check, value) -> None:
    status, _, err = check("--severity", value)
    assert status == 2
    assert "RULE=warning" in err


def test_a_severity_of_an_unknown_rule_suggests_a_similar_rule(check) -> None:
    status, _, err = check("--severity", "accept-invalid=info")
    assert status == 2
    assert "did you mean accepts-invalid?" in err
