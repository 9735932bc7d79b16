"""Proposes a whole contract for a document that was inferred, so that there is no official document to extend."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import yaml

from voicegauge.contract.documents.overlays import apply_overlay
from voicegauge.contract.documents.proposals.overlay_proposal import propose_overlay
from voicegauge.contract.documents.proposals.overlay_writer import OverlayProposal
from voicegauge.formats import YAML_LOADER, Document


def propose_contract(
    document: Document,
    *,
    provider_id: str = "",
    operation_names: Sequence[str] = (),
    reserved_ids: Collection[str] = (),
) -> OverlayProposal:
    """Propose a contract as one document: `document` with the keys of the overlay that `propose_overlay` returns.

    Args:
        document: the inferred document; its path names where it comes from.
        provider_id: id of the provider; by default derived from the server.
        operation_names: operation ids to propose.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.

    Raises:
        UsageError: as `propose_overlay` raises it.
    """
    proposal = propose_overlay(
        document, provider_id=provider_id, operation_names=operation_names, reserved_ids=reserved_ids
    )
    data = yaml.load(proposal.overlay, Loader=YAML_LOADER)  # noqa: S506 - a safe loader
    overlay = Document(document.path, data, {}, document.sha256)
    whole = apply_overlay(overlay, document).data
    order = ("openapi", "info", "servers", "security", "x-provider", "paths", "components")
    text = yaml.safe_dump(
        {key: whole[key] for key in order if key in whole}, sort_keys=False, allow_unicode=True, width=120
    )
    comment = [
        f"# Proposed by `voicegauge init` from {document.path.name!r}; everything is inferred.",
        "# docs/contract.md explains every key. Complete, and correct where needed:",
        *(f"# - {item}" for item in proposal.todo),
    ]
    return msgspec.structs.replace(proposal, overlay="\n".join(comment) + f"\n{text}")
