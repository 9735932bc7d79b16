"""Proposes the overlay that makes a provider's OpenAPI document a contract, for a person to complete.

Only what the document states is filled in. What it does not state is marked with TODO and listed. A price is never
guessed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from voicegauge.contract.documents.openapi_versions import check_openapi_version
from voicegauge.contract.documents.proposals.overlay_writer import OverlayProposal, OverlayWriter
from voicegauge.contract.documents.proposals.provider_names import derive_provider_id
from voicegauge.contract.documents.proposals.speech_operations import find_speech_operations
from voicegauge.errors import UsageError
from voicegauge.formats import Document

_PROVIDER_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]*")
_SPEECH_PATH_PATTERN = re.compile(r"speak|speech|tts|synthes", re.IGNORECASE)
"""Paths that certainly produce speech, even if the document describes the response wrongly."""


def propose_overlay(
    document: Document,
    *,
    provider_id: str = "",
    operation_names: Sequence[str] = (),
    reserved_ids: Collection[str] = (),
) -> OverlayProposal:
    """Propose an overlay for an OpenAPI document.

    Args:
        document: the whole document.
        provider_id: id of the provider; by default derived from the first server.
        operation_names: paths or operation ids to propose; by default all whose request has a text and whose response
            has audio.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.

    Raises:
        UsageError: no such operation was found, or `provider_id` is not an id.
        UnknownNameError: the document does not have one of `operation_names`.
        ContractError: the document has another version of OpenAPI, or is not valid in a part that matters.
    """
    if provider_id and not _PROVIDER_ID_PATTERN.fullmatch(provider_id):
        raise UsageError(f"{provider_id!r} is not a provider id: use small letters, digits and hyphens")
    check_openapi_version(document)
    candidate_operations = list(find_speech_operations(document, operation_names))
    found = [c for c in candidate_operations if c.audio_yaml or c.job] or [
        c for c in candidate_operations if operation_names or _SPEECH_PATH_PATTERN.search(c.path)
    ]
    if not found:
        wanted = f" among {', '.join(operation_names)}" if operation_names else ""
        hint = "" if operation_names else "name one with --operation, or "
        raise UsageError(
            f"{document.path}: no operation{wanted} with a text in its request and audio or a job in its response; "
            f"{hint}write x-speech by hand as docs/contract.md describes"
        )
    provider_id = provider_id or derive_provider_id(document, reserved_ids)
    writer = OverlayWriter(document, provider_id)
    return writer.write_overlay(found)
