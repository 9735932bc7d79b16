"""What the outputs share: how a finding is told, and where its file lies."""

from __future__ import annotations

from pathlib import Path

from voicegauge.model import Finding, Severity

FAILING = (Severity.ERROR,)
"""Severities that fail a check."""
FAILING_STRICTLY = (Severity.ERROR, Severity.WARNING)
"""Severities that fail a check with --strict."""


def details(finding: Finding) -> str:
    """All that a finding says, a line each: message, place, case, evidence, other reading, command."""
    where = finding.where
    place = f"{where.file}:{where.line}" if where.line else where.file
    lines = (
        ("", f"{finding.message} ({finding.times} times)" if finding.times > 1 else finding.message),
        ("at ", place),
        ("case ", finding.case),
        ("seen ", finding.evidence),
        ("disputed: ", finding.reading),
        ("", finding.reproduce),
    )
    return "\n".join(f"{label}{text}" for label, text in lines if text)


def operation_of(finding: Finding) -> str:
    """The operation: "acme/speak", or "acme" where it is about none."""
    where = finding.where
    return f"{where.provider}/{where.operation}" if where.operation else where.provider


def path_in(finding: Finding, root: Path) -> str | None:
    """The file of a finding below `root`, with slashes; `None` where it lies elsewhere."""
    if finding.where.file is None:
        return None
    path = Path(finding.where.file).resolve()
    return path.relative_to(root.resolve()).as_posix() if path.is_relative_to(root.resolve()) else None
