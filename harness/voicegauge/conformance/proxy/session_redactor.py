"""Redacts exchanges one by one: each is searched for every credential that was used so far."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from voicegauge.contract import Contract
from voicegauge.errors import DataError
from voicegauge.model import Exchange
from voicegauge.recording import Redactor, find_used_credentials

MAX_SECRETS = 200
"""Maximum number of different credentials. Searching an exchange for one of them takes a few milliseconds."""


class SessionRedactor:
    """Masks in each exchange the credentials of this exchange and of all earlier ones, in any encoding."""

    def __init__(self, contract: Contract, names_to_mask: Sequence[str]) -> None:
        """Begin with the keys in the environment.

        Args:
            contract: contract of the provider.
            names_to_mask: names of further fields, parameters and headers to mask.
        """
        self._contract, self._masked_names = contract, tuple(names_to_mask)
        values = (os.environ.get(variable, "").strip() for variable in contract.key_variables)
        self.secrets: dict[str, None] = dict.fromkeys(filter(None, values))
        """The credentials, as keys in the order in which they were used."""
        self._redactor = Redactor(contract, tuple(self.secrets), self._masked_names)
        self._earlier_redactions: Counter[str] = Counter()

    @property
    def redaction_count_by_location(self) -> dict[str, int]:
        """Number of masked values by location."""
        total = self._earlier_redactions + Counter(self._redactor.count_redactions_by_location())
        return dict(sorted(total.items()))

    def learn_credentials(self, exchange: Exchange) -> list[str]:
        """Note the credentials that `exchange` uses, and return the new ones.

        Raises:
            DataError: there are too many.
        """
        found = [one for one in find_used_credentials(self._contract, exchange) if one not in self.secrets]
        if not found:
            return []
        if len(self.secrets) + len(found) > MAX_SECRETS:
            raise DataError(f"clients used more than {MAX_SECRETS} different keys, tokens and cookies")
        self.secrets |= dict.fromkeys(found)
        self._earlier_redactions.update(self._redactor.count_redactions_by_location())
        self._redactor = Redactor(self._contract, tuple(self.secrets), self._masked_names)
        return found

    def redact(self, exchange: Exchange) -> Exchange:
        """Return `exchange` without secrets.

        Raises:
            DataError: something in it still looks like a credential, or it is too large to be searched.
        """
        masked = self._redactor.mask_exchange(exchange)
        self._redactor.check_exchange("the exchange", 1, masked)
        return masked
