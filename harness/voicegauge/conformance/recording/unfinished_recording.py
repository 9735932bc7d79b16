"""Saves each recorded case at once, before its recording is written, so that a crash loses no paid response.

A live recording is written when its plan has ended and every difference has been accepted. Until then each case is
saved, redacted like any recording, in .unfinished/<provider>/<hash of the case's id>/ below the folder of the
recordings. The next recording reads the case from there instead of sending it again.
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
from voicegauge.files import check_writable
from voicegauge.model import Exchange, Provenance
from voicegauge.recording import compute_age_days, load_har, save_har

UNFINISHED_RECORDINGS_FOLDER_NAME = ".unfinished"
CASE_FILE_NAME = "exchanges.part"
"""Name of the file of a saved case. It does not end in .har, so that checks and replays do not find it."""


@dataclass(frozen=True)
class UnfinishedRecording:
    """The saved cases whose recordings in one folder are not written yet."""

    folder: Path
    """The folder of the recordings."""
    contracts: Mapping[str, Contract]
    """Contracts by provider id."""
    secrets: Sequence[str] = ()
    """The API keys in use, which are redacted."""
    names_to_mask: Sequence[str] = ()
    """Further names of fields, parameters and headers to redact."""

    def save_case(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Save the exchanges of `case`. Emulated exchanges are not saved, because recording them again is free."""
        if any(map(is_emulated, exchanges)):
            return
        path = self._get_case_folder(case) / CASE_FILE_NAME
        try:
            save_har(
                path,
                exchanges,
                provenance=Provenance.RECORDED,
                contract=self.contracts[case.provider],
                secrets=self.secrets,
                names_to_mask=self.names_to_mask,
            )
        except DataError:
            # The case contains something that looks like a credential. Writing its recording raises the error.
            shutil.rmtree(path.parent, ignore_errors=True)

    def load_saved_exchanges(
        self, cases: Iterable[ConformanceCase], now: dt.datetime
    ) -> dict[str, tuple[Exchange, ...]]:
        """Return the saved exchanges of `cases` by case id, except those that are too old for their provider.

        Raises:
            DataError: a file cannot be read.
            UsageError: the folder cannot be written to.
        """
        saved = {}
        for case in cases:
            path = self._get_case_folder(case) / CASE_FILE_NAME
            if path.exists():
                recording = load_har(path)
                limit_days = self.contracts[case.provider].provider.recording_age_limit.max_age_days
                if all(compute_age_days(recording, exchange, now) <= limit_days for exchange in recording.exchanges):
                    saved[case.id] = recording.exchanges
        return saved

    def remove_cases(self, cases: Iterable[ConformanceCase]) -> None:
        """Remove the saved `cases` after their recording was written, or after the user declined them."""
        for case in cases:
            shutil.rmtree(self._get_case_folder(case), ignore_errors=True)
        root = self.folder / UNFINISHED_RECORDINGS_FOLDER_NAME
        for folder in (*root.glob("*"), root):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _get_case_folder(self, case: ConformanceCase) -> Path:
        folder = (
            self.folder
            / UNFINISHED_RECORDINGS_FOLDER_NAME
            / case.provider
            / hashlib.sha256(case.id.encode()).hexdigest()[:16]
        )
        check_writable(folder / CASE_FILE_NAME)  # before anything is removed: no link leads elsewhere
        return folder
