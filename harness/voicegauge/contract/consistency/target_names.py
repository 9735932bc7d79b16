"""Checks the provider id and the names of targets, which together form the ids that users write on the command line."""

from __future__ import annotations

import re

from voicegauge.contract.contract import Contract
from voicegauge.contract.extension import TranscriptionSpec
from voicegauge.formats import Document, escape_pointer_token

_VALID_NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]*")


def check_target_names(contract: Contract) -> None:
    """Check that the names are well formed, and that no two targets of the provider have the same name.

    Raises:
        ContractError: a name is malformed or used twice.
    """
    _check_name(contract.document, "/x-provider/id", "provider id", contract.id)
    seen: set[str] = set()
    for operation in contract.operations.values():
        input_key = "x-transcription" if isinstance(operation.audio_input, TranscriptionSpec) else "x-conversion"
        for key, spec in (("x-speech", operation.speech), (input_key, operation.audio_input)):
            for name in spec.targets if spec is not None else ():
                pointer = f"{operation.pointer}/{key}/targets/{escape_pointer_token(name)}"
                _check_name(contract.document, pointer, "target", name)
                if name in seen:
                    raise contract.document.build_error(pointer, f"target {name!r} is defined twice")
                seen.add(name)


def _check_name(document: Document, pointer: str, name_description: str, checked_name: str) -> None:
    if not _VALID_NAME_PATTERN.fullmatch(checked_name):
        raise document.build_error(
            pointer, f"{name_description} {checked_name!r} must consist of a-z, 0-9, '.', '_' and '-'"
        )
