"""The coverage of a check equals an independent count over the exchanges that it saved."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from voicegauge import cli
from voicegauge.cases.plan import plan_cases
from voicegauge.client.ledger import Ledger
from voicegauge.conformance.check_report import describe_doubtful_statuses
from voicegauge.conformance.check_settings import CheckSettings, build_emulator_check_settings
from voicegauge.conformance.result_collector import ResultCollector
from voicegauge.conformance.service_check import check_service
from voicegauge.contract.loading import load_catalogue, load_contract
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange

KEY = "sk-acme-0123456789abcdef"


def _check(targets, plan, **settings):
    """Return the coverage by kind, operation and name, and all exchanges that were saved."""
    saved, collector = [], ResultCollector([target.id for target in targets], 0)
    ready = CheckSettings(**settings, save_exchanges=lambda _, exchanges: saved.extend(exchanges))
    asyncio.run(check_service(targets, plan, ready, collector))
    report = collector.build_report()
    return {(e.kind, e.operation_or_provider, e.name): e for e in report.coverage}, saved, report


def test_statuses_and_constraints_equal_a_count_over_the_exchanges(acme, acme_contracts) -> None:
    contract = load_contract(acme_contracts() / "acme" / "openapi.yaml")
    targets = list(contract.targets.values())
    coverage, saved, report = _check(
        targets,
        plan_cases(targets, is_emulated=False, include_all_billable_cases=True),
        provenance=Provenance.LIVE,
        base_urls_by_provider={"acme": {"": acme.url}},
        api_key_by_provider={"acme": KEY},
        ledger=Ledger(1.0),
    )
    statuses = Counter(str(exchange.response.status) for exchange in saved)
    found = {name: entry.conforming_count for (kind, _, name), entry in coverage.items() if kind == "status"}
    assert found == {name: statuses[name] for name in ("200", "400", "401", "402")}
    assert coverage["status", "acme/speak", "402"].untried_reason == "no response had this status"

    bodies = [json.loads(exchange.request.body) if exchange.request.body else None for exchange in saved]
    objects = [body for body in bodies if isinstance(body, dict)]
    texts = [body["text"] for body in objects if isinstance(body.get("text"), str)]
    speeds = [body["speed"] for body in objects if "speed" in body]
    numbers = [speed for speed in speeds if isinstance(speed, int | float) and not isinstance(speed, bool)]
    expected = {
        "body type": (len(objects), sum(body is not None and not isinstance(body, dict) for body in bodies)),
        "body#/text required": (sum("text" in body for body in objects), sum("text" not in body for body in objects)),
        "body#/text type": (len(texts), sum("text" in body for body in objects) - len(texts)),
        "body#/text minLength": (sum(len(t) >= 1 for t in texts), sum(len(t) < 1 for t in texts)),
        "body#/text maxLength": (sum(len(t) <= 200 for t in texts), sum(len(t) > 200 for t in texts)),
        "body#/speed type": (len(numbers), len(speeds) - len(numbers)),
        "body#/speed minimum": (sum(n >= 0.5 for n in numbers), sum(n < 0.5 for n in numbers)),
        "body#/speed maximum": (sum(n <= 2 for n in numbers), sum(n > 2 for n in numbers)),
    }
    constraints = {
        name: (e.conforming_count, e.violating_count) for (kind, _, name), e in coverage.items() if kind == "constraint"
    }
    assert constraints == expected
    assert sum(inside + outside for inside, outside in expected.values()) > 50
    operation = coverage["operation", "acme/speak", "speak"]
    assert operation.conforming_count + operation.violating_count == len(saved)
    assert 0 < operation.conforming_count < len(saved)

    rules = {name: entry for (kind, _, name), entry in coverage.items() if kind == "rule"}
    assert rules["status-undocumented"].conforming_count == len(saved)
    assert rules["response-incomplete"].conforming_count == len(saved)
    assert not rules["job-stuck"].is_applicable
    assert (
        rules["job-stuck"].untried_reason
        == "the contract states nothing that it needs: x-job.poll_schedule.job_timeout_s"
    )
    assert report.coverage_percent == pytest.approx(
        100
        * sum(e.reached_goal_count for e in report.coverage if e.is_applicable)
        / sum(e.goal_count for e in report.coverage if e.is_applicable),
        abs=0.05,
    )


def test_states_equal_a_count_over_the_polls(voicegauge_emulator) -> None:
    [target] = load_catalogue().select_targets(["pixelapi/voice-design"])
    settings = build_emulator_check_settings(voicegauge_emulator, [target])
    coverage, saved, _ = _check(
        [target],
        plan_cases([target], is_emulated=True, include_all_billable_cases=False),
        base_urls_by_provider=settings.base_urls_by_provider,
        api_key_by_provider=settings.api_key_by_provider,
        emulator_control_url=settings.emulator_control_url,
        create_clock=settings.create_clock,
    )
    status = target.job_operation
    polls = [json.loads(e.response.body) for e in saved if e.operation == status.id and e.response.status == 200]
    submits = [e.response for e in saved if e.operation == target.operation.id and e.response.status < 300]
    polls += [json.loads(response.body) for response in submits]
    seen = Counter(body["status"] for body in polls if "status" in body)
    found = {
        name: entry.conforming_count
        for (kind, _, name), entry in coverage.items()
        if kind == "state" and entry.is_applicable
    }
    assert {name: count for name, count in found.items() if count} == dict(seen)
    assert len(found) == len(status.job.states)


OBEYS: dict[str, Callable[[Any, Any], bool]] = {
    "type": lambda value, types: any(
        _is_of_type(value, name) for name in ([types] if isinstance(types, str) else types)
    ),
    "enum": lambda value, values: value in values,
    "minLength": lambda value, least: len(value) >= least,
    "minimum": lambda value, least: value >= least,
    "maximum": lambda value, most: value <= most,
}
TYPES = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "array": list, "object": dict}


def _is_of_type(value: Any, name: str) -> bool:
    if name == "null":
        return value is None
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _limits(value: Any, keyword: str) -> bool:
    """Whether a schema keyword says something about a value."""
    if keyword in ("minimum", "maximum"):
        return _is_of_type(value, "number")
    return keyword != "minLength" or isinstance(value, str)


def _count_constraints(document: dict[str, Any], operation: str, saved: list[Exchange]) -> dict[str, tuple[int, int]]:
    """Count by constraint how many JSON bodies are inside and outside, from the exchanges alone."""
    path = next(path for path in document["paths"].values() if path.get("post", {}).get("operationId") == operation)
    schema = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    bodies = [json.loads(e.request.body) for e in saved if e.operation == operation and e.request.body]
    samples: dict[str, tuple[Any, list[list[Any]]]] = {"body": (schema, [[body] for body in bodies])}
    for name, inner in schema["properties"].items():
        values = [[body[name]] if name in body else [] for body in bodies]
        samples[f"body#/{name}"] = inner, values
        lists = [value[0] if value and isinstance(value[0], list) else [] for value in values]
        samples[f"body#/{name}/*"] = inner.get("items", {}), lists
    counts = {}
    for name in schema.get("required", ()):
        present = sum(name in body for body in bodies)
        counts[f"body#/{name} required"] = present, len(bodies) - present
    for at, (inner, values_by_body) in samples.items():
        for keyword in OBEYS.keys() & inner.keys():
            limited = [[value for value in values if _limits(value, keyword)] for values in values_by_body]
            sides = [all(OBEYS[keyword](value, inner[keyword]) for value in values) for values in limited if values]
            counts[f"{at} {keyword}"] = sum(sides), len(sides) - sum(sides)
    return counts


@pytest.mark.slow
def test_an_emulated_check_equals_a_count_over_all_of_its_exchanges(voicegauge_emulator) -> None:
    """Operations, statuses, states, constraints of bodies and a rule, counted from the document and the exchanges."""
    names = ("generateChatterbox", "generateXtts")
    targets = load_catalogue().select_targets(["pixazo/chatterbox", "pixazo/xtts-v2"])
    settings = build_emulator_check_settings(voicegauge_emulator, targets)
    coverage, saved, report = _check(
        targets,
        plan_cases(targets, is_emulated=True, include_all_billable_cases=True),
        base_urls_by_provider=settings.base_urls_by_provider,
        api_key_by_provider=settings.api_key_by_provider,
        create_clock=settings.create_clock,
        emulator_control_url=settings.emulator_control_url,
    )
    document = yaml.safe_load(Path(targets[0].contract.document.path).read_text())
    assert len(saved) == report.exchange_count_by_provenance[Provenance.EMULATED] > 200
    described = [exchange for exchange in saved if exchange.operation != "(download)"]
    by_operation = Counter(f"pixazo/{exchange.operation}" for exchange in described)
    found = {
        e.operation_or_provider: e.conforming_count + e.violating_count
        for (kind, _, _), e in coverage.items()
        if kind == "operation"
    }
    assert found == by_operation
    assert by_operation.keys() == {"pixazo/generateChatterbox", "pixazo/generateXtts", "pixazo/getRequestStatus"}

    statuses = Counter((f"pixazo/{exchange.operation}", str(exchange.response.status)) for exchange in described)
    assert {
        (operation, name): e.conforming_count
        for (kind, operation, name), e in coverage.items()
        if kind == "status" and e.conforming_count
    } == statuses

    accepted = [json.loads(exchange.response.body) for exchange in described if exchange.response.status < 300]
    states = Counter(body["status"] for body in accepted if "status" in body)
    assert {
        name: e.conforming_count for (kind, _, name), e in coverage.items() if kind == "state" and e.conforming_count
    } == states

    for operation in names:
        entries = {
            name: (e.conforming_count, e.violating_count)
            for (kind, of_operation, name), e in coverage.items()
            if kind == "constraint" and of_operation == f"pixazo/{operation}" and name.startswith("body")
        }
        assert entries == _count_constraints(document, operation, saved)
    assert coverage["rule", "pixazo", "status-undocumented"].conforming_count == len(described)


@pytest.fixture
def live(acme, acme_contracts, monkeypatch, capfd, tmp_path):
    """Run `voicegauge check acme --live`; returns status, report, stdout and stderr."""
    monkeypatch.setenv("ACME_API_KEY", KEY)

    def run(*more):
        file = tmp_path / "out.json"
        arguments = ["check", "acme", "--contracts", str(acme_contracts()), "--live", "--base-url", acme.url]
        status = cli.run([*arguments, "--json", str(file), *more])
        out, err = capfd.readouterr()
        assert file.exists(), f"exit status {status}: {err}"
        return status, json.loads(file.read_text()), out, err

    return run


def test_the_coverage_is_one_line_and_can_be_required(live, tmp_path) -> None:
    status, report, out, _ = live("--full", "--fail-under", "0.5")
    percent = report["coverage_percent"]
    assert (status, 50 < percent < 100) == (0, True)
    outside = sum(entry["violating_count"] > 0 for entry in report["coverage"] if entry["kind"] == "constraint")
    constraints = f"8 of 8 constraints inside and {outside} outside"
    assert f"tried {percent:g}%: 1 of 1 operations, 3 of 4 statuses, {constraints}" in out
    exports = ("--junit", str(tmp_path / "junit.xml"), "--sarif", str(tmp_path / "sarif.json"))
    status, _, _, err = live("--full", "--fail-under", "0.995", *exports)
    assert status == 1
    message = f"tried {percent:g}% of the contract, less than --fail-under 0.995"
    assert message in err
    assert read_junit_failures(tmp_path / "junit.xml") == {"--fail-under": 1}
    assert read_sarif_errors(tmp_path / "sarif.json") == message


def read_junit_failures(file: Path) -> dict[str, int]:
    """Return the number of failures that the suites of a JUnit file state, by name of the failed test case."""
    root = ET.fromstring(file.read_text())  # noqa: S314 - our own text
    names = [case.get("name", "") for case in root.iter("testcase") if case.find("failure") is not None]
    assert sum(int(suite.get("failures", 0)) for suite in root.iter("testsuite")) == len(names)
    return dict(Counter(names))


def read_sarif_errors(file: Path) -> str:
    """Return the messages of what SARIF calls an error of the run besides its results."""
    (invocation,) = json.loads(file.read_text())["runs"][0]["invocations"]
    notes = invocation["toolExecutionNotifications"]
    assert {note["level"] for note in notes} == {"error"}
    return ", ".join(note["message"]["text"] for note in notes)


@pytest.mark.parametrize(
    ("status_of_all", "cause"),
    [
        (401, "the key"),
        (403, "the key"),
        (404, "the base URL"),
        (405, "the base URL"),
        pytest.param(502, "the base URL", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_key_or_base_url_is_named_first_and_its_consequences_in_one_line_each(
    live, acme, status_of_all, cause
) -> None:
    acme.status_of_all = status_of_all
    status, report, out, err = live()
    assert status == 1, out + err
    first, *lines = out.splitlines()
    assert first.endswith(f"have status {status_of_all}: check {cause} first")
    assert report["doubt_reason"] == first
    groups = {(one["severity"], one["rule"], one["where"]["operation"]) for one in report["findings"]}
    assert [line.split()[:2] for line in lines[: len(groups)]] == sorted(
        ([severity, rule] for severity, rule, _ in groups),
        key=lambda pair: (["error", "warning", "disputed", "info"].index(pair[0]), pair[1]),
    )
    assert lines[len(groups)].startswith("without details")
    assert "curl" not in out
    assert out.count(first) == 1


@pytest.mark.parametrize(
    ("statuses", "notice"),
    [
        ({404: 30}, "30 of 30 responses have status 404: check the base URL first"),
        (
            {401: 2, 404: 27, 200: 1},
            "29 of 30 responses have status 401 or 404: check the key and the base URL first",
        ),
        ({401: 3, 404: 20, 200: 7}, None),
        ({404: 9}, None),
        ({400: 30}, None),
        ({500: 29, 200: 1}, None),
        ({500: 30}, "every response has status 500: check the server first"),
        ({307: 30}, "every response has status 307: check the base URL, because redirects are not followed"),
    ],
)
def test_nine_of_ten_responses_decide_whether_a_check_is_doubtful(statuses, notice) -> None:
    assert describe_doubtful_statuses(statuses) == notice


@pytest.mark.slow
def test_an_entry_of_the_baseline_that_no_longer_occurs_can_fail(live, acme, tmp_path) -> None:
    acme.accepts_anything = True
    assert live("--write-baseline", str(tmp_path / "known.json"))[0] == 0
    status, _, _, err = live("--baseline", str(tmp_path / "known.json"), "--strict-baseline")
    assert status == 0, err
    acme.accepts_anything = False
    assert live("--baseline", str(tmp_path / "known.json"))[0] == 0
    names = {
        "--junit": "junit.xml",
        "--sarif": "sarif.json",
        "--badge": "a.svg",
        "--markdown": "a.md",
        "--slack": "a.json",
    }
    exports = [word for option, name in names.items() for word in (option, str(tmp_path / name))]
    status, report, _, err = live("--baseline", str(tmp_path / "known.json"), "--strict-baseline", *exports)
    assert status == 1
    assert report["unused_baseline_entries"]
    assert "no longer found, take " in err
    assert "out of the baseline: accepts-invalid acme/speak: " in err
    assert read_junit_failures(tmp_path / "junit.xml") == {"--strict-baseline": 1}
    assert "no longer found" in read_sarif_errors(tmp_path / "sarif.json")
    markdown, slack, badge = ((tmp_path / name).read_text() for name in ("a.md", "a.json", "a.svg"))
    assert "no longer found" in markdown
    assert ":x:" in slack
    assert "no longer found" in slack
    live("--baseline", str(tmp_path / "known.json"), "--badge", str(tmp_path / "lenient.svg"))
    colors = {re.findall("#[0-9a-f]{6}", text)[0] for text in (badge, (tmp_path / "lenient.svg").read_text())}
    assert len(colors) == 2, "the badge of a failed check has the color of one that passed"
