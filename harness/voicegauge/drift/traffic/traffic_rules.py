"""The rules over traffic: what was seen against a document, and what was seen against what was seen before."""

from __future__ import annotations

from voicegauge.drift.registry import DriftLevel, DriftRule

_BREAKING, _POSSIBLY, _SAFE = DriftLevel.BREAKING, DriftLevel.POSSIBLY_BREAKING, DriftLevel.COMPATIBLE

AGAINST_CONTRACT = {
    "observed-operation-undocumented": (_SAFE, "An operation is called that the contract does not have"),
    "observed-status-undocumented": (_POSSIBLY, "An answer has a status that is not documented"),
    "observed-media-type-undocumented": (_BREAKING, "An answer has a media type that is not documented"),
    "observed-header-undocumented": (_SAFE, "An answer has a header that is not documented"),
    "observed-header-value-undocumented": (_POSSIBLY, "A header has a value that its documented schema excludes"),
    "observed-field-undocumented": (_SAFE, "An answer has a field that is not documented"),
    "observed-field-missing": (_BREAKING, "A field that is documented as required is missing"),
    "observed-type-undocumented": (_BREAKING, "A field has another type than documented"),
    "observed-value-undocumented": (_POSSIBLY, "A field has a value that is not among the documented ones"),
    "observed-value-out-of-bounds": (_POSSIBLY, "A field has a value outside its documented bounds or form"),
    "observed-state-undocumented": (_BREAKING, "A job is in a state that is not documented"),
    "observed-transition-undocumented": (_POSSIBLY, "A job goes from one state to another in a way not documented"),
    "observed-request-field-undocumented": (_SAFE, "A request is accepted with a field that is not documented"),
    "observed-disputed-reading": (_SAFE, "Traffic keeps the other of two readings that the contract records"),
    "documented-operation-never-seen": (_SAFE, "A documented operation is in no recording"),
    "documented-status-never-seen": (_SAFE, "A documented status was never answered"),
    "documented-media-type-never-seen": (_SAFE, "A documented media type was never answered"),
    "documented-header-never-seen": (_SAFE, "A documented header was never sent"),
    "documented-field-never-seen": (_SAFE, "A documented field was never there"),
    "documented-value-never-seen": (_SAFE, "A documented value was never there"),
    "documented-state-never-seen": (_SAFE, "A documented state of a job was never seen"),
}
BETWEEN_RECORDINGS = {
    "recorded-field-gone": (_BREAKING, "A field is gone"),
    "recorded-field-sometimes-gone": (_POSSIBLY, "A field that was always there is sometimes missing"),
    "recorded-field-new": (_SAFE, "A field is new"),
    "recorded-type-changed": (_BREAKING, "A field has another type"),
    "recorded-value-new": (_POSSIBLY, "A field has values that it did not have before"),
    "recorded-value-gone": (_POSSIBLY, "A list has lost entries"),
    "recorded-state-new": (_BREAKING, "Jobs are in a state that was not seen before and is not documented"),
    "recorded-state-order-changed": (_POSSIBLY, "The states of jobs come in another order"),
    "recorded-outcome-changed": (_POSSIBLY, "The same request ends in another state"),
    "recorded-header-gone": (_POSSIBLY, "A header is gone"),
    "recorded-header-new": (_SAFE, "A header is new"),
    "recorded-header-value-new": (_POSSIBLY, "A header has a value that it did not have before"),
    "recorded-status-changed": (_BREAKING, "The same request is answered with another status"),
    "recorded-refused-for-now": (_SAFE, "The same request was answered before and is refused for the moment"),
    "recorded-media-type-changed": (_BREAKING, "The same request is answered with another media type"),
    "recorded-body-unreadable": (_BREAKING, "A body that could be read as JSON is empty or can be read no longer"),
    "recorded-audio-container-changed": (_BREAKING, "Audio comes in another container"),
    "recorded-audio-format-changed": (_POSSIBLY, "Audio has another sample rate or number of channels"),
    "recorded-charge-changed": (_POSSIBLY, "The same request costs another amount"),
    "recorded-request-not-repeated": (_SAFE, "A request of the older recording is not in the newer one"),
}


def rules() -> list[DriftRule]:
    """All of them, for the catalogue."""
    return [
        *(
            DriftRule(id, level, description, "recording-contract")
            for id, (level, description) in AGAINST_CONTRACT.items()
        ),
        *(DriftRule(id, level, description, "recordings") for id, (level, description) in BETWEEN_RECORDINGS.items()),
    ]
