"""From the plain data of an `x-` key to its record, with the line of what does not fit."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from voicegauge.contract.extension import ConversionSpec, SpeechSpec, TranscriptionSpec
from voicegauge.formats import MISSING, Document, decode_location, escape, read_pointer

_PATH = re.compile(r"`\$([^`]*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")
_T = TypeVar("_T")


def convert_record(document: Document, value: Any, pointer: str, kind: type[_T]) -> _T:
    """The record of `kind` that the value at `pointer` stands for.

    Raises:
        ContractError: it does not fit; names the line of the key that does not.
    """
    value = _long_form(value, kind)
    try:
        return msgspec.convert(value, kind, dec_hook=decode_location)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at ")
        deeper = "".join(f"/{escape(token)}" for token in _culprit(value, kind, str(error), where))
        unknown = _UNKNOWN.search(reason)
        if unknown:
            deeper += f"/{escape(unknown[1])}"
        name = next(token for token in reversed(pointer.split("/")) if not token.isdecimal())
        place = f"{name}{deeper.replace('/', '.')}" if deeper else name
        raise document.error(pointer + deeper, f"{place}: {reason}") from error


def _long_form(value: Any, kind: type[Any]) -> Any:
    """A bare string among the words of a `request` is short for `{at: ...}`."""
    has_words = kind in (SpeechSpec, TranscriptionSpec, ConversionSpec)
    if has_words and isinstance(value, dict) and isinstance(value.get("request"), dict):
        words = value["request"].items()
        return {**value, "request": {w: {"at": s} if isinstance(s, str) else s for w, s in words}}
    return value


def _culprit(value: Any, kind: type[Any], message: str, where: str) -> list[str]:
    """The keys that lead to what `message` is about.

    msgspec writes "[...]" for any key of a mapping from names to objects; the
    key is the one that brings the same message when it stands alone.
    """
    path = _PATH.search(where)
    steps = _STEP.findall(path[1]) if path else []
    if where.startswith("`key` in"):
        steps.append(("", "", "..."))
    tokens: list[str] = []
    for name, index, _any in steps:
        token = name or index or _guilty_key(value, kind, message, tokens)
        if token is None:
            break
        tokens.append(token)
    return tokens


def _guilty_key(value: Any, kind: type[Any], message: str, tokens: list[str]) -> str | None:
    mapping = read_pointer(value, tokens)
    for key in mapping if isinstance(mapping, dict) else ():
        try:
            msgspec.convert(_with(value, tokens, {key: mapping[key]}), kind, dec_hook=decode_location)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return None


def _with(value: Any, tokens: list[str], new: Any) -> Any:
    """A copy of `value` with `new` at `tokens`."""
    if not tokens:
        return new
    token, rest = tokens[0], tokens[1:]
    inner = read_pointer(value, [token])
    assert inner is not MISSING, "msgspec names paths that exist"
    if isinstance(value, list):
        return [_with(inner, rest, new) if str(i) == token else item for i, item in enumerate(value)]
    return {**value, token: _with(inner, rest, new)}
