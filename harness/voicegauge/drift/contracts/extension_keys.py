"""The `x-` keys of two documents, compared row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from voicegauge.contract import convert
from voicegauge.contract.extension import (
    BatchSpec,
    ChatSpec,
    ConversionSpec,
    JobSpec,
    LimitsSpec,
    PriceSpec,
    ProviderSpec,
    ResourceSpec,
    SpeechSpec,
    StreamSpec,
    TranscriptionSpec,
    WebhookSpec,
)
from voicegauge.drift.contracts.document_node import DocumentNode, canonical_json, is_same_json
from voicegauge.drift.contracts.extension_rules import (
    BATCH,
    CHAT,
    CONVERSION,
    JOB,
    LIMITS,
    PRICING,
    PROVIDER,
    RESOURCE,
    SPEECH,
    STREAM,
    TRANSCRIPTION,
    WEBHOOK,
    ExtensionFact,
)
from voicegauge.drift.contracts.schemas import compare_schemas
from voicegauge.drift.contracts.scope import ComparisonScope
from voicegauge.drift.report import DriftChange
from voicegauge.formats import MISSING, encode_location

_OPERATION: dict[str, tuple[type[Any], Sequence[ExtensionFact]]] = {
    "x-speech": (SpeechSpec, SPEECH),
    "x-job": (JobSpec, JOB),
    "x-stream": (StreamSpec, STREAM),
    "x-webhook": (WebhookSpec, WEBHOOK),
    "x-resource": (ResourceSpec, RESOURCE),
    "x-batch": (BatchSpec, BATCH),
    "x-chat": (ChatSpec, CHAT),
    "x-transcription": (TranscriptionSpec, TRANSCRIPTION),
    "x-conversion": (ConversionSpec, CONVERSION),
    "x-pricing": (PriceSpec, PRICING),
    "x-limits": (LimitsSpec, LIMITS),
}
_DOCUMENT: dict[str, tuple[type[Any], Sequence[ExtensionFact]]] = {
    "x-provider": (ProviderSpec, PROVIDER),
    "x-limits": (LimitsSpec, LIMITS),
}


def compare_operation_extensions(
    scope: ComparisonScope, old: DocumentNode, new: DocumentNode, roots: tuple[DocumentNode, DocumentNode]
) -> Iterator[DriftChange]:
    """Every change of the keys of an operation; none where one document is no contract of voicegauge.

    Raises:
        ContractError: a key does not fit its grammar.
    """
    if all(root.child("x-provider").exists for root in roots):
        yield from _compare_keys(scope, old, new, _OPERATION)
        yield from _compare_events(scope.inside("x-stream"), *(part.child("x-stream").resolve() for part in (old, new)))


def compare_document_extensions(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """Every change of the keys of a whole document; none where one is no contract of voicegauge.

    Raises:
        ContractError: a key does not fit its grammar.
    """
    if old.child("x-provider").exists and new.child("x-provider").exists:
        yield from _compare_keys(scope, old, new, _DOCUMENT)


def _compare_keys(
    scope: ComparisonScope,
    old: DocumentNode,
    new: DocumentNode,
    keys: dict[str, tuple[type[Any], Sequence[ExtensionFact]]],
) -> Iterator[DriftChange]:
    for key, (kind, rows) in keys.items():
        before, after = (_read(holder.child(key).resolve(), kind) for holder in (old, new))
        if key == "x-limits":  # a document without any says that none is known
            before, after = ({} if value is MISSING else value for value in (before, after))
        if before is after or (MISSING not in (before, after) and is_same_json(before, after)):
            continue
        for row in rows:
            tokens = row.path.split("/") if row.path else []
            places = old.child(key).resolve(), new.child(key).resolve()
            yield from _compare_row(scope.inside(key), row, tokens, (before, after), places)


def _compare_events(scope: ComparisonScope, old: DocumentNode, new: DocumentNode) -> Iterator[DriftChange]:
    """The data of the events that both streams have: parts of a response's body."""
    later = new.child("events")
    for name, event in old.child("events").children():
        before, after = event.child("schema"), later.child(name).child("schema")
        if before.exists and after.exists:
            yield from compare_schemas(scope.inside(f"/events/{name}/schema"), "response-property", before, after)


def _read(part: DocumentNode, kind: type[Any]) -> Any:
    """The record at `part` as plain data with every default; `MISSING` where there is none."""
    if not part.exists:
        return MISSING
    return msgspec.to_builtins(convert(part.document, part.value, part.pointer, kind), enc_hook=encode_location)


def _compare_row(
    scope: ComparisonScope,
    row: ExtensionFact,
    tokens: list[str],
    values: tuple[Any, Any],
    places: tuple[DocumentNode, DocumentNode],
) -> Iterator[DriftChange]:
    """Step down to the place of `row`, through every key that both have for a "*"."""
    if not tokens:
        yield from _differences(scope, row, values, places)
        return
    token, rest = tokens[0], tokens[1:]
    if not all(isinstance(value, dict) for value in values):
        return
    for key in (key for key in values[0] if key in values[1]) if token == "*" else (token,):  # noqa: S105 - no secret
        inside = tuple(_stated(value, key) for value in values)
        if rest and MISSING in inside:
            continue
        below = places[0].child(key), places[1].child(key)
        yield from _compare_row(scope.inside(f"/{key}"), row, rest, (inside[0], inside[1]), below)


def _stated(mapping: dict[str, Any], key: str) -> Any:
    value = mapping.get(key)
    return MISSING if value is None else value


def _differences(
    scope: ComparisonScope, row: ExtensionFact, values: tuple[Any, Any], places: tuple[DocumentNode, DocumentNode]
) -> Iterator[DriftChange]:
    old, new = values
    if row.how in ("names", "listed"):
        yield from _names(scope, row, values, places)
        return
    action = _flag(old, new) if row.how == "flag" else _action(row.how, old, new)
    if action in row.levels:
        shown = {side: value for side, value in (("old", old), ("new", new)) if _is_plain(value)}
        yield scope.change(f"{row.stem}-{action}", *places, **shown)


def _action(how: str, old: Any, new: Any) -> str:
    if old is MISSING or new is MISSING:
        come = ("set", "unset") if how == "amount" else ("added", "removed")
        return "" if old is new else come[0] if old is MISSING else come[1]
    if how == "amount":
        return "" if old == new else "increased" if new > old else "decreased"
    return "" if isinstance(old, dict) or is_same_json(old, new) else "changed"


def _flag(old: Any, new: Any) -> str:
    """A flag that is not stated does not hold."""
    if (old is True) == (new is True):
        return ""
    return "began" if new is True else "ended"


def _is_plain(value: Any) -> bool:
    return value is not MISSING and not isinstance(value, dict | list)


def _names(
    scope: ComparisonScope, row: ExtensionFact, values: tuple[Any, Any], places: tuple[DocumentNode, DocumentNode]
) -> Iterator[DriftChange]:
    """Names that are one more or one less; of a list that was empty and said nothing, that it is there."""
    old, new = (_by_text(value) for value in values)
    if row.how == "listed" and bool(old) != bool(new):
        action = "set" if new else "unset"
        yield scope.change(f"{row.stem}-{action}", *places, **{"new" if new else "old": list((new or old).values())})
        return
    for text in dict.fromkeys((*old, *new)):
        if text not in new:
            yield scope.change(f"{row.stem}-removed", *places, old=old[text])
        elif text not in old:
            yield scope.change(f"{row.stem}-added", *places, new=new[text])


def _by_text(value: Any) -> dict[bytes, Any]:
    """The names in a list or the keys of a mapping; of a list of records, what they state."""
    if value is MISSING:
        return {}
    items = [_statement(item) if isinstance(item, dict) else item for item in value]
    return {canonical_json(item): item for item in items}


def _statement(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value and key != "source"}
