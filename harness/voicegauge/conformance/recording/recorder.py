"""Collects the exchanges of each case while a plan is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from voicegauge.conformance.cases import ConformanceCase
from voicegauge.conformance.recording.unfinished_recording import UnfinishedRecording
from voicegauge.contract import Contract
from voicegauge.emulator import is_emulated
from voicegauge.model import Exchange
from voicegauge.recording import UrlCanonicalizer


class Recorder:
    """Collects the exchanges of each case, with their URLs rewritten to the contract's own servers."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        base_urls_by_provider: Mapping[str, Mapping[str, str]],
        unfinished_recording: UnfinishedRecording | None = None,
    ) -> None:
        """Prepare to record the exchanges of cases.

        Args:
            contracts: contracts by provider id.
            base_urls_by_provider: base URLs by provider id, as given to the client.
            unfinished_recording: saves each case at once, so that a crash loses no case; `None` to save no case.
        """
        self._unfinished = unfinished_recording
        self._canonical = {
            name: UrlCanonicalizer(c, base_urls_by_provider.get(name, {})) for name, c in contracts.items()
        }
        self.groups: dict[str, tuple[Exchange, ...]] = {}
        """The exchanges of each case, by its id."""
        self.is_emulated_service = False
        """Whether a response came from the emulator, whatever its URL."""

    def add_case(self, case: ConformanceCase, exchanges: Sequence[Exchange]) -> None:
        """Add the exchanges of `case`."""
        self.is_emulated_service |= any(map(is_emulated, exchanges))
        canonical = self._canonical[case.provider]
        grouped = (msgspec.structs.replace(exchange, conversation_id=case.id) for exchange in exchanges)
        self.groups[case.id] = tuple(canonical.rewrite_exchange(exchange) for exchange in grouped)
        if self._unfinished is not None:
            self._unfinished.save_case(case, self.groups[case.id])
