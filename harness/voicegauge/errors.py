"""Errors of the tool, its input and the network.

A provider that violates its contract is not an error but a `model.Finding`.
Each error is printed as one line: what is wrong, where, and how to fix it.

    VoicegaugeError                exit 2
    ├── UsageError                 a flag, a setting or a name that cannot be used
    │   ├── UnknownNameError       an unknown name; the error message suggests the most similar known name
    │   └── StorageError           a file that cannot be written, such as on a full disk
    ├── ContractError              a contract document that cannot be used; has file, line and reason
    ├── DataError                  a saved run, recording, suite or audio file that cannot be used
    ├── MissingKeyError            the environment variable of a provider's key is not set
    ├── MissingExtraError          an optional part of voicegauge is not installed
    ├── TransportError             exit 3: no response could be received
    │   ├── UnreachableError       a name was not resolved, a connection failed or was lost, or TLS failed
    │   │   ├── IncompleteResponseError  a connection was lost before the end of a response's body
    │   │   └── HandshakeError           the handshake of a WebSocket had no valid response
    │   ├── TimedOutError          a phase of a request exceeded its time limit
    │   └── OversizeError          a body is larger than the limit
    ├── NothingMeasuredError       exit 3: nothing was measured or judged, so there is no result
    │   └── PartlyMeasuredError    exit 5: less was measured than the user demands; there is a result
    │       └── TimeLimitError     the time that the user allows is over
    └── BudgetError                exit 4: the plan or the next request would exceed the budget
        └── OverchargedError       a request was charged more than its price, or an amount that cannot be believed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from voicegauge.printable_text import escape_unprintable

EXIT_OK = 0
EXIT_FINDINGS = 1
EXIT_UNUSABLE_INPUT = 2
EXIT_NOTHING_MEASURED = 3
EXIT_BUDGET_EXCEEDED = 4
EXIT_PARTLY_MEASURED = 5
EXIT_INTERRUPTED = 130
"""The exit code that a shell reports for a program that was stopped with Ctrl-C."""


MAX_ERROR_MESSAGE_CHARACTERS = 2000
"""Maximum length of an error message. The middle of a longer error message is left out."""
_OMISSION_MARK = " [...] "
_MAX_QUOTED_CHARACTERS = 500
"""Maximum length, in characters, of a name or a reason that an error message quotes."""
_MAX_KNOWN_NAMES_LISTED = 20
"""Maximum number of known names that the error message about an unknown name lists, if a command can list them
instead."""
_MAX_SIMILAR_NAMES = 4
_MIN_SIMILARITY = 0.65
"""Similarity, from 0 to 1 as `difflib` measures it, from which a name is suggested: two letters of three are right
("por" for pro), but "nope" does not mean openai."""


class VoicegaugeError(Exception):
    """Base of every error that the command line prints as one line."""

    exit_code = EXIT_UNUSABLE_INPUT

    def __str__(self) -> str:
        """Return the shortened message. Control characters are escaped: a file or a response may contain them."""
        return _omit_middle_if_too_long(escape_unprintable(super().__str__()), MAX_ERROR_MESSAGE_CHARACTERS)


class UsageError(VoicegaugeError):
    """A flag, a setting or an argument that cannot be used."""


class UnknownNameError(UsageError):
    """A name is unknown; the error message suggests the most similar known name, if there is a similar one."""

    def __init__(
        self,
        name_kind: str,
        name: str,
        known_names: Iterable[str],
        *,
        other_names: Iterable[str] = (),
        listing_command: str | None = None,
        where: str = "",
        advice: str = "",
    ) -> None:
        """Report that `name` is not one of `known_names`.

        Args:
            name_kind: the kind of thing that the name should denote, such as "target" or "rule".
            name: the unknown name.
            known_names: the names that exist.
            other_names: names of another kind that could have been meant. They may be suggested, but are not among the
                known names that the error message lists or counts.
            listing_command: a command that lists the known names. The error message refers to it if the names are too
                many to be listed. `None` if there is none: then all names are listed.
            where: a phrase that says where the known names are, such as "in the suite smoke".
            advice: what to do if the name is right.
        """
        choices, name = sorted(known_names), _omit_middle_if_too_long(name)
        near = find_similar_names(name, sorted([*choices, *other_names]))
        hint = f"did you mean {near[0]}? " if near else ""
        if not choices:
            known = f"there is no {name_kind} {where}".rstrip()
        elif len(choices) <= _MAX_KNOWN_NAMES_LISTED or listing_command is None:
            known = f"{f'known {where}'.rstrip()}: {', '.join(choices)}"
        else:
            similar = f"similar: {', '.join(near[1:])}; " if near[1:] else ""
            known = f"{similar}`{listing_command}` lists all {len(choices)}"
        if hint:
            known = known[0].upper() + known[1:]
        super().__init__("; ".join(filter(None, (f"unknown {name_kind} {name!r}: {hint}{known}", advice))))


def find_similar_names(name: str, known_names: Iterable[str]) -> list[str]:
    """Return at most four similar names, the best first but names that end in `/<name>` before all; empty for none."""
    known_names = list(known_names)
    by_key = {choice.casefold(): choice for choice in known_names}
    near = difflib.get_close_matches(name.casefold(), by_key, n=_MAX_SIMILAR_NAMES, cutoff=_MIN_SIMILARITY)
    found = [choice for choice in known_names if choice.endswith(f"/{name}")] + [by_key[key] for key in near]
    return list(dict.fromkeys(found))[:_MAX_SIMILAR_NAMES]


class StorageError(UsageError):
    """A file cannot be written, for example because the disk is full.

    After this error, no more requests are sent, because their results could not be saved.
    """


class ContractError(VoicegaugeError):
    """A contract document that cannot be used."""

    def __init__(self, path: Path | str, line: int | None, reason: str) -> None:
        """Report the `reason`, with the file and the line; `line` counts from 1 and is `None` if it is unknown.

        The middle of a long reason is left out, because a reason may quote much of the document.
        """
        reason = _omit_middle_if_too_long(reason)
        where = f"{path}:{line}" if line else str(path)
        super().__init__(f"{where}: {reason}")
        self.path, self.line, self.reason = path, line, reason


class DataError(VoicegaugeError):
    """A saved run, recording, suite or audio file that cannot be read or compared."""


class MissingKeyError(VoicegaugeError):
    """The environment variable that holds a provider's key is not set."""

    def __init__(self, provider: str, environment_variable: str) -> None:
        """Report the `environment_variable` that must be set for `provider`."""
        super().__init__(f"{provider} needs a key: set the environment variable {environment_variable}")
        self.variable = environment_variable


class MissingExtraError(VoicegaugeError):
    """An optional part of voicegauge is not installed."""

    def __init__(self, missing_package: str, extra: str) -> None:
        """Report the pip `extra` that installs `missing_package`."""
        super().__init__(f"{missing_package} is not installed: pip install 'voicegauge[{extra}]'")
        self.extra = extra


class TransportError(VoicegaugeError):
    """No usable response could be received."""

    exit_code = EXIT_NOTHING_MEASURED

    def __init__(self, message: str, *, request_was_sent: bool = True) -> None:
        """Report a failed request.

        Args:
            message: one line about the failure.
            request_was_sent: whether the request was sent. If so, the provider may have charged for it, and may
                charge again for a retry.
        """
        super().__init__(message)
        self.request_was_sent = request_was_sent


class UnreachableError(TransportError):
    """A host name was not resolved, a connection failed or was lost, or TLS failed."""


class IncompleteResponseError(UnreachableError):
    """A response began, and the connection was lost before the end of its body."""

    def __init__(self, message: str, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        """Report a response whose `status` and `headers` were received completely, but not its body."""
        super().__init__(message)
        self.status, self.headers = status, headers


class HandshakeError(UnreachableError):
    """A service closed a connection before the handshake of a WebSocket was answered, or its answer is not valid."""


class TimedOutError(TransportError):
    """A phase of a request exceeded its time limit."""


class OversizeError(TransportError):
    """A body exceeds its size limit."""


class NothingMeasuredError(VoicegaugeError):
    """Nothing was measured or judged, because every attempt failed or there was nothing to judge."""

    exit_code = EXIT_NOTHING_MEASURED


class PartlyMeasuredError(NothingMeasuredError):
    """Less was measured than the user demands. What was measured is saved and printed."""

    exit_code = EXIT_PARTLY_MEASURED


class TimeLimitError(PartlyMeasuredError):
    """The time that the user allows for the command is over."""


class BudgetError(VoicegaugeError):
    """The plan or the next request would exceed the budget."""

    exit_code = EXIT_BUDGET_EXCEEDED


class OverchargedError(BudgetError):
    """A request was charged more than its price, or an amount that cannot be believed.

    No more money is reserved at that price.
    """


def _omit_middle_if_too_long(text: str, max_characters: int = _MAX_QUOTED_CHARACTERS) -> str:
    """Return `text`, without its middle if it is longer than `max_characters`."""
    if len(text) <= max_characters:
        return text
    half = (max_characters - len(_OMISSION_MARK)) // 2
    return f"{text[:half]}{_OMISSION_MARK}{text[-half:]}"
