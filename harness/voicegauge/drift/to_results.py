"""A report of drift as the outputs see it.

What breaks clients is an error, what breaks some is a warning, what is safe is a note.
"""

from __future__ import annotations

import datetime as dt

from voicegauge.drift.registry import RULES, Level
from voicegauge.drift.report import Change, DriftReport, Spot
from voicegauge.outputs import ExportedReport, FileLocation, JUnitCase, ReportedFinding, ResultLevel, RuleDescription

GRADES = {Level.BREAKING: ResultLevel.ERROR, Level.POSSIBLY_BREAKING: ResultLevel.WARNING, Level.SAFE: ResultLevel.NOTE}


def results_of(report: DriftReport, fail_on: Level = Level.BREAKING) -> ExportedReport:
    """`report` as the outputs see it.

    The suite is the API by its title. Without any change it has one case, which is well.

    Args:
        report: what changed.
        fail_on: the mildest change that fails.
    """
    name = report.name
    unchanged = JUnitCase(suite=name, subject=name, name="nothing has changed")
    return ExportedReport(
        created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        items=tuple(_item(change, name, fails=change.level.at_least(fail_on)) for change in report.changes),
        accepted=tuple(_item(change, name, fails=False) for change in report.accepted),
        cases=() if report.changes else (unchanged,),
        rules=tuple(
            RuleDescription(id=rule.id, grade=GRADES[rule.level], text=rule.means, help=rule.means)
            for rule in RULES.values()
        ),
    )


def _item(change: Change, name: str, *, fails: bool) -> ReportedFinding:
    # A line is worth more than none: traffic has no lines of its own, its contract has.
    spots = [spot for spot in (change.new, change.old) if spot is not None]
    spots.sort(key=lambda spot: spot.line is None)
    first, second = (*spots, None, None)[:2]
    return ReportedFinding(
        rule=change.rule,
        grade=GRADES[change.level],
        severity=change.level.value,
        message=f"{change.where}: {change.message}",
        suite=name,
        operation=change.operation,
        place=_place(first),
        other_place=_place(second),
        more=(change.spots,) if change.spots else (),
        fingerprint=change.fingerprint,
        fails=fails,
        properties={
            "at": change.at,
            "oldValue": change.old_value,
            "newValue": change.new_value,
            "oldPointer": change.old.pointer if change.old else None,
            "newPointer": change.new.pointer if change.new else None,
            "alsoIn": list(change.also) or None,
        },
    )


def _place(spot: Spot | None) -> FileLocation | None:
    return None if spot is None else FileLocation(file=spot.file, line=spot.line)
