"""What a recording has been answered and is not in its files yet: case by case on disk, so that no crash loses it.

A live recording is written when its plan has ended and every difference has been agreed to.
Until then each case lies on its own, masked like any recording, below the folder of the
recordings: .unfinished/<provider>/<hash of the case's id>/. The next recording takes it from there.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voicegauge.conformance.cases import ConformanceCase
from voicegauge.contract import Contract
from voicegauge.emulator import is_emulated
from voicegauge.errors import DataError
from voicegauge.model import Exchange, Provenance
from voicegauge.recording import age_days, load_har, save_har

FOLDER = ".unfinished"
FILE = "exchanges.part"
"""Not .har: it is no recording that a check or a replay should find."""


@dataclass(frozen=True)
class UnfinishedRecording:
    """The cases that lie below one folder of recordings."""

    folder: Path
    """Of the recordings."""
    contracts: Mapping[str, Contract]
    """By provider id."""
    secrets: Sequence[str] = ()
    """The keys in use."""
    mask: Sequence[str] = ()
    """Further names to mask."""

    def keep(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Write down what was said in `case`; what the emulator said is not kept."""
        if any(map(is_emulated, exchanges)):
            return
        path = self._place(case) / FILE
        contract = self.contracts[case.provider]
        try:
            save_har(
                path,
                exchanges,
                provenance=Provenance.RECORDED,
                contract=contract,
                secrets=self.secrets,
                mask=self.mask,
            )
        except DataError:
            # It holds what looks like a credential: that is told when its recording is written.
            shutil.rmtree(path.parent, ignore_errors=True)

    def taken(self, cases: Iterable[ConformanceCase], now: dt.datetime) -> dict[str, tuple[Exchange, ...]]:
        """What lies there of `cases`, by case id; what is older than its provider's limit is left.

        Raises:
            DataError: a file cannot be read.
        """
        found = {}
        for case in cases:
            path = self._place(case) / FILE
            if path.exists():
                recording = load_har(path)
                limit = self.contracts[case.provider].provider.recordings.max_age_days
                if all(age_days(recording, exchange, now) <= limit for exchange in recording.exchanges):
                    found[case.id] = recording.exchanges
        return found

    def drop(self, cases: Iterable[ConformanceCase]) -> None:
        """Remove what lies there of `cases`: it is in its recording now, or not wanted."""
        for case in cases:
            shutil.rmtree(self._place(case), ignore_errors=True)
        root = self.folder / FOLDER
        for folder in (*root.glob("*"), root):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _place(self, case: ConformanceCase) -> Path:
        return self.folder / FOLDER / case.provider / hashlib.sha256(case.id.encode()).hexdigest()[:16]
