"""What was found by chance, as a pytest test that sends it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases import (
    ConformanceCase,
    rejection_statuses,
    text_characters,
    valid_speech_request,
    with_value,
)
from voicegauge.contract import MISSING, Target
from voicegauge.model import Finding

MAX_CHARACTERS = 4_000
"""Of a test; a longer one is no place for a request."""
ExpectedVerdict = Literal["accepted", "rejected"]


def request_case(target: Target, wire: RequestParts, expect: ExpectedVerdict, description: str) -> ConformanceCase:
    """The case of a request that was drawn, or is sent again by a test."""
    operation = target.operation
    valid = expect == "accepted"
    return ConformanceCase(
        id=f"{operation.contract.id}/{operation.id}: fuzzing, {description}",
        provider=operation.contract.id,
        operation=operation.id,
        target=target.name,
        expected=ExpectedResponse(
            verdict=expect,
            statuses=() if valid else rejection_statuses(operation, "invalid"),
            kind="valid" if valid else "invalid",
            description=description,
            contract_pointer=f"{operation.pointer}/requestBody",
        ),
        wire=wire,
        text_characters=text_characters(operation, wire),
        is_fuzzed=True,
    )


def modified_request(target: Target, changes: Mapping[str, Any], without: Iterable[str]) -> RequestParts:
    """A plain valid request to `target` with `changes` of fields of its body, and `without` some.

    Raises:
        UsageError: nobody knows a valid request to start from.
    """
    wire = map_speech_request(target, valid_speech_request(target))
    for name, value in changes.items():
        wire = with_value(wire, (name,), value)
    for name in without:
        wire = with_value(wire, (name,), MISSING)
    return wire


def with_request_test(findings: Sequence[Finding], target: Target, case: ConformanceCase) -> list[Finding]:
    """`findings` with a test that sends the request of `case` again, where that can be written down."""
    if not findings:
        return []
    base = map_speech_request(target, valid_speech_request(target)).body
    body = case.wire.body if case.wire is not None else None
    if not isinstance(base, dict) or not isinstance(body, dict):
        return list(findings)
    changes = {name: value for name, value in body.items() if name not in base or not _same(base[name], value)}
    without = [name for name in base if name not in body]
    given = [_literal(target.id), _literal(changes)] + ([f"without={without!r}"] if without else [])
    call = f"voicegauge_send({', '.join([*given, f'expect={_literal(case.expected.verdict)}'])})"
    return [_with_test(finding, "voicegauge_send", call) for finding in findings]


def with_jobs_test(findings: Sequence[Finding], target: Target, steps: Sequence[str]) -> list[Finding]:
    """`findings` with a test that takes the same steps with jobs again."""
    call = f"voicegauge_jobs({target.id!r}, {list(steps)!r})"
    return [_with_test(finding, "voicegauge_jobs", call) for finding in findings]


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one JSON type: 1 is not true, nor 1.0."""
    return type(one) is type(other) and bool(one == other)


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_literal(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, str) and len(value) > 100 and len(set(value)) == 1:
        return f"{value[0]!r} * {len(value)}"
    return repr(value)


def _with_test(finding: Finding, fixture: str, call: str) -> Finding:
    name = finding.rule.replace("-", "_")
    provenance = finding.provenance.value.upper()
    text = (
        f"# {finding.rule}, found by fuzzing ({provenance}): {finding.message}\n"
        f"def test_{name}({fixture}):\n    {call}\n"
    )
    if len(text) > MAX_CHARACTERS or not _is_python(text):
        return finding
    return msgspec.structs.replace(finding, test=text)


def _is_python(text: str) -> bool:
    """Whether it can be read back: a file in the request, for one, cannot be written down."""
    import ast

    try:
        calls = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    # A repr such as `UploadedFile(...)` is Python too, but no literal: one call is the test's own.
    return sum(isinstance(node, ast.Call) for node in ast.walk(calls)) == 1
