"""Describes where a file is not valid JSON."""

from __future__ import annotations

import re

_MSGSPEC_ERROR_PATTERN = re.compile(r"JSON is malformed: (?P<reason>.*) \(byte (?P<offset>\d+)\)")


def describe_json_error(error: Exception, json_bytes: bytes) -> str:
    """Return the line and the reason why bytes are not valid JSON: ":3: is not valid JSON: invalid character, ...".

    Args:
        error: the error that msgspec raised.
        json_bytes: the bytes that were read.
    """
    found = _MSGSPEC_ERROR_PATTERN.fullmatch(str(error))
    offset = int(found["offset"]) if found else len(json_bytes.rstrip())
    before = json_bytes[:offset]
    line, column = before.count(b"\n") + 1, offset - before.rfind(b"\n")
    if found:
        reason = f"{found['reason']}, column {column}"
    elif isinstance(error, RecursionError):
        return ": is not valid JSON: it is nested too deep"
    elif isinstance(error, UnicodeDecodeError):
        return ": is not valid JSON: it is not UTF-8"
    else:
        reason = "it ends early"
    return f":{line}: is not valid JSON: {reason}"
