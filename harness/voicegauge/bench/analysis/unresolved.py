"""Describes requests of a run that were or may have been paid for without a result."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.model import AmbiguousRequest, OpenJob


def describe_unresolved(ambiguous: Sequence[AmbiguousRequest], open_jobs: Sequence[OpenJob]) -> list[str]:
    """Return one line for each request that was paid for without a result, and lines that say what to do about them.

    >>> lost = AmbiguousRequest(id="acme/a/1/1/one", sent_at="2026-01-01T00:00:00Z", usd=0.01, reason="timed out")
    >>> for line in describe_unresolved([lost], []): print(line)
    may have been charged, without a result: acme/a/1/1/one, $0.0100: timed out
    the same command with --retry-ambiguous pays for it again
    """
    lines = []
    for one in ambiguous:
        again = " (bought again)" if one.bought_again else ""
        lines.append(f"may have been charged, without a result: {one.id}{_price(one.usd)}: {one.reason}{again}")
    count = sum(not one.bought_again for one in ambiguous)
    if count:
        lines.append(f"the same command with --retry-ambiguous pays for {'it' if count == 1 else 'them'} again")
    lines += [f"still open: {one.id}, job {one.job}{_price(one.usd)}: {one.reason}" for one in open_jobs]
    if open_jobs:
        lines.append(f"the same command polls {'it' if len(open_jobs) == 1 else 'them'} again")
    return lines


def _price(usd: float | None) -> str:
    return "" if usd is None else f", ${usd:.4f}"
