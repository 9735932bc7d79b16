"""Adds to findings of fuzzing a pytest test that sends the same requests again."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import msgspec

from voicegauge.client import map_speech_request
from voicegauge.conformance.cases import ConformanceCase, build_valid_speech_request
from voicegauge.contract import Target
from voicegauge.model import Finding

MAX_REPRODUCTION_TEST_CHARACTERS = 4_000
"""Number of characters in the longest test that is written, because nobody would read a longer one."""


def add_request_test(findings: Sequence[Finding], target: Target, case: ConformanceCase) -> list[Finding]:
    """Return `findings` with a test that sends the request of `case` again, if it can be written as Python."""
    if not findings:
        return []
    base = map_speech_request(target, build_valid_speech_request(target)).body
    body = case.request.body if case.request is not None else None
    if not isinstance(base, dict) or not isinstance(body, dict):
        return list(findings)
    changes = {
        name: value for name, value in body.items() if name not in base or not _is_same_json_value(base[name], value)
    }
    omitted_fields = [name for name in base if name not in body]
    arguments = [_format_python_literal(target.id), _format_python_literal(changes)] + (
        [f"omitted_fields={omitted_fields!r}"] if omitted_fields else []
    )
    arguments.append(f"expected_outcome={_format_python_literal(case.expected_response.acceptance)}")
    call = f"voicegauge_send({', '.join(arguments)})"
    return [_add_test(finding, "voicegauge_send", call) for finding in findings]


def add_job_steps_test(findings: Sequence[Finding], target: Target, steps: Sequence[str]) -> list[Finding]:
    """Return `findings` with a test that takes the same steps with jobs again."""
    call = f"voicegauge_jobs({target.id!r}, {list(steps)!r})"
    # A single request shows nothing: it names a job that does not exist any more.
    without_command = (msgspec.structs.replace(finding, reproduction_command=None) for finding in findings)
    return [_add_test(finding, "voicegauge_jobs", call) for finding in without_command]


def _is_same_json_value(first_value: Any, second_value: Any) -> bool:
    """Whether two values are equal and have the same JSON type. In Python 1, 1.0 and True are equal."""
    return type(first_value) is type(second_value) and bool(first_value == second_value)


def _format_python_literal(value: Any) -> str:
    """Return the value as Python source. A long text of one repeated character becomes a product."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_format_python_literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, str) and len(value) > 100 and len(set(value)) == 1:
        return f"{value[0]!r} * {len(value)}"
    return repr(value)


def _add_test(finding: Finding, pytest_fixture_name: str, pytest_fixture_call: str) -> Finding:
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
