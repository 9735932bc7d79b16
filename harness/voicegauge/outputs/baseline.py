"""A baseline: items that a team knows of and accepts, so that a command tells only of new ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from voicegauge.errors import DataError
from voicegauge.model import Record


class AcceptedFinding(Record, frozen=True, kw_only=True):
    """One item that is accepted; all but the fingerprint is for whoever reads the file."""

    fingerprint: str
    rule: str
    provider: str
    operation: str | None = None
    statement: str | None = None
    pointer: str | None = None
    message: str

    def __str__(self) -> str:
        """As it is told when nothing shows it any more."""
        return f"{self.rule} {self.provider}/{self.operation or ''}: {self.message}"


class FindingsBaseline(Record, frozen=True, kw_only=True):
    """The content of a baseline file."""

    schema: Literal["voicegauge/baseline/1"] = "voicegauge/baseline/1"
    accepted: tuple[AcceptedFinding, ...] = ()

    @property
    def fingerprints(self) -> frozenset[str]:
        """Of all that is accepted."""
        return frozenset(entry.fingerprint for entry in self.accepted)


def build_baseline(entries: Iterable[AcceptedFinding]) -> FindingsBaseline:
    """A baseline of `entries`, one for each fingerprint, in an order that does not depend on theirs."""
    by_fingerprint = {entry.fingerprint: entry for entry in entries}
    ordered = sorted(by_fingerprint.values(), key=lambda e: (e.provider, e.operation or "", e.rule, e.fingerprint))
    return FindingsBaseline(accepted=tuple(ordered))


def load_baseline(path: Path) -> FindingsBaseline:
    """The baseline in the file `path`.

    Raises:
        DataError: it cannot be read, or is no baseline of this version.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=FindingsBaseline)
    except OSError as error:
        raise DataError(f"cannot read the baseline {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no baseline: {error}; --write-baseline makes one") from error
