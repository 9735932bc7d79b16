"""Converts the data of an `x-` key to a record, with the line of each error."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from voicegauge.contract.extension.audio_input import ConversionSpec, TranscriptionSpec
from voicegauge.contract.extension.speech import SpeechSpec
from voicegauge.formats.json_text import explain_type_error
from voicegauge.formats.located_yaml import Document, escape_pointer_token
from voicegauge.formats.locations import MISSING, decode_location, read_pointer

_ERROR_PATH_PATTERN = re.compile(r"`\$([^`]*)`")
_PATH_STEP_PATTERN = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_UNKNOWN_FIELD_PATTERN = re.compile(r"unknown field `([^`]*)`")
_RecordT = TypeVar("_RecordT")


def convert_record(document: Document, value: Any, pointer: str, record_type: type[_RecordT]) -> _RecordT:
    """Convert the value at `pointer` to a record of `record_type`.

    Raises:
        ContractError: the value does not fit the record; the message has the line of the key at fault.
    """
    value = _expand_short_forms(value, record_type)
    try:
        return msgspec.convert(value, record_type, dec_hook=decode_location)
    except msgspec.ValidationError as error:
        reason, _, msgspec_path = str(error).partition(" - at ")
        deeper = "".join(
            f"/{escape_pointer_token(token)}"
            for token in _convert_msgspec_path(value, record_type, str(error), msgspec_path)
        )
        unknown = _UNKNOWN_FIELD_PATTERN.search(reason)
        if unknown:
            deeper += f"/{escape_pointer_token(unknown[1])}"
        name = next(token for token in reversed(pointer.split("/")) if not token.isdecimal())
        path = f"{name}{deeper.replace('/', '.')}" if deeper else name
        raise document.build_error(pointer + deeper, f"{path}: {explain_type_error(reason)}") from error


def _expand_short_forms(value: Any, record_type: type[Any]) -> Any:
    """Expand bare strings in `request_fields`, which are short for `{location: ...}`."""
    if record_type not in (SpeechSpec, TranscriptionSpec, ConversionSpec) or not isinstance(value, dict):
        return value
    value = _expand_request_fields(value)
    if record_type is SpeechSpec and isinstance(value.get("targets"), dict):
        value = {
            **value,
            "targets": {name: _expand_request_fields(target) for name, target in value["targets"].items()},
        }
    return value


def _expand_request_fields(value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("request_fields"), dict):
        return value
    fields = value["request_fields"].items()
    return {
        **value,
        "request_fields": {name: {"location": field} if isinstance(field, str) else field for name, field in fields},
    }


def _convert_msgspec_path(value: Any, record_type: type[Any], message: str, msgspec_path: str) -> list[str]:
    """Return the keys and indices to the value that `message` is about, which msgspec writes as in "$.targets[...]".

    msgspec writes "[...]" instead of a key of a mapping. To find the key, the conversion is repeated with one key of
    the mapping at a time, until it fails with the same message. The result ends before a key that is not found.
    """
    path = _ERROR_PATH_PATTERN.search(msgspec_path)
    steps = _PATH_STEP_PATTERN.findall(path[1]) if path else []
    if msgspec_path.startswith("`key` in"):
        steps.append(("", "", "..."))
    pointer_tokens: list[str] = []
    for name, index, _any in steps:
        token = name or index or _find_failing_key(value, record_type, message, pointer_tokens)
        if token is None:
            break
        pointer_tokens.append(token)
    return pointer_tokens


def _find_failing_key(value: Any, record_type: type[Any], message: str, pointer_tokens: list[str]) -> str | None:
    mapping = read_pointer(value, pointer_tokens)
    for key in mapping if isinstance(mapping, dict) else ():
        try:
            msgspec.convert(
                _copy_with_value_at(value, pointer_tokens, {key: mapping[key]}), record_type, dec_hook=decode_location
            )
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return None


def _copy_with_value_at(value: Any, pointer_tokens: list[str], new_value: Any) -> Any:
    """Return a copy of `value` with `new_value` at `pointer_tokens`."""
    if not pointer_tokens:
        return new_value
    token, rest = pointer_tokens[0], pointer_tokens[1:]
    inner = read_pointer(value, [token])
    assert inner is not MISSING, "msgspec reports existing paths"
    if isinstance(value, list):
        return [
            _copy_with_value_at(inner, rest, new_value) if str(i) == token else item for i, item in enumerate(value)
        ]
    return {**value, token: _copy_with_value_at(inner, rest, new_value)}
