"""Hypothesis strategies that mutate valid documents, on the level of their structure and of their bytes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from reader_fuzzing.document import Document

_MAX_REPEATED_BYTES = 200_000
_POSITIONS = st.integers(0, 2**20)
"""Positions, which are taken modulo the number of values or bytes."""


_COUNTS = st.sampled_from((1, 1, 1, 2, 4))
"""Numbers of mutations. With many, most documents would be rejected for the first one."""


def _nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


HOSTILE_VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 3.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400),
    *("", " ", "\n", "\0", "\x1b[2J", "\u202e", "\ufeff", "\ud800", "\U0001f600", "é" * 300, "x" * 70_000),
    *("null", "true", "yes", "-", "1e999", "0x10", "1_000", "NaN", "2026-02-30", "9999-12-31T23:59:60Z", "-1", "٣"),
    *("../../../etc/passwd", "/dev/zero", "C:\\x", "file:///etc/passwd", "a/b", ".", "..", "~", "%", "%s{}", "{{7*7}}"),
    *(
        "http://[",
        "https://user:pw@[::1]:99999/",
        "https://",
        "//x",
        "http://x:x/",
        "data:,",
        "javascript:1",
        "\\\\x\\y",
    ),
    *(
        "#",
        "#/",
        "#/paths",
        "body#",
        "body#/",
        "body#/~2",
        "body#/0/1",
        "header.",
        "data#/x",
        "$ref",
        "*",
        "(",
        "[",
        "(a+)+$",
    ),
    *({"$ref": "#"}, {"$ref": "#/paths"}, {"$ref": "other.yaml#/x"}, {"$ref": 5}, {"": ""}, {"<<": {}}, {"-1": [{}]}),
    *([], {}, [[]], [None], [{}], _nested(40), _nested(110)),
)
"""Values that readers may not expect."""
HOSTILE_BYTES = (
    *(
        b"\0",
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1b[2J",
        b"\r",
        b"\n",
        b"\t",
    ),
    *(b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"'",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b",",
        b":",
        b"-",
        b"#",
        b"%",
        b"=",
        b"[" * 5000,
    ),
    *(b"9" * 5000, b"1e400", b"NaN", b"-Infinity", b"null", b"true", b"0", b"-0", b"1.", b'"":', b"//", b"/*"),
)
"""Bytes that readers of texts and of binary formats may not expect."""


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys and indices to each value in plain data, except for the outermost one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def _value_at(root: Any, path: Sequence[Any]) -> Any:
    for key in path:
        root = root[key]
    return root


def _remove(parent: Any, key: Any, _other: Any) -> None:
    del parent[key]


def _replace(parent: Any, key: Any, other: Any) -> None:
    parent[key] = other


def _insert(parent: Any, key: Any, other: Any) -> None:
    if isinstance(parent, list):
        parent.insert(key, other)
    else:
        parent[str(other)[:50]] = copy.deepcopy(parent[key])


def _rename(parent: Any, key: Any, other: Any) -> None:
    if isinstance(parent, dict):
        parent[str(other)[:50]] = parent.pop(key)


def _wrap(parent: Any, key: Any, other: Any) -> None:
    parent[key] = [parent[key]] if isinstance(other, list) else {str(other)[:50]: parent[key]}


def _repeat(parent: Any, key: Any, other: Any) -> None:
    count = max(2, min(1000, _MAX_REPEATED_BYTES // (len(repr(parent[key])) + 1)))
    many = [copy.deepcopy(parent[key]) for _ in range(count)]
    parent[key] = (
        many if isinstance(other, list) else {f"{str(key)[:50]}-{number}": one for number, one in enumerate(many)}
    )


def _to_text(parent: Any, key: Any, _other: Any) -> None:
    parent[key] = str(parent[key])[:1000]


def _change_slightly(parent: Any, key: Any, _other: Any) -> None:
    """Replace a value by a similar one of the same type, which readers may accept."""
    value = parent[key]
    if isinstance(value, bool):
        parent[key] = not value
    elif isinstance(value, int | float):
        parent[key] = -value if value else 1
    elif isinstance(value, str):
        parent[key] = value[:-1] if len(value) > 1 else "other"
    elif isinstance(value, list):
        value.reverse()
    elif isinstance(value, dict):
        parent[key] = dict(reversed(value.items()))


_STRUCTURE_MUTATIONS: Sequence[Callable[[Any, Any, Any], None]] = (
    *(_remove, _replace, _replace, _replace, _change_slightly, _insert, _rename, _wrap, _repeat, _to_text),
)


@st.composite
def _mutated_structures(draw: st.DrawFn, document: Document) -> bytes:
    root = [copy.deepcopy(document.structure)]  # in a list, so that the outermost value can be mutated too
    for _ in range(draw(_COUNTS)):
        paths = list(_paths(root))
        *parent_path, key = paths[draw(_POSITIONS) % len(paths)]
        is_hostile = draw(st.booleans())
        other = (
            draw(st.sampled_from(HOSTILE_VALUES))
            if is_hostile
            else _value_at(root, paths[draw(_POSITIONS) % len(paths)])
        )
        draw(st.sampled_from(_STRUCTURE_MUTATIONS))(_value_at(root, parent_path), key, copy.deepcopy(other))
        if not root:
            return b""
    return document.serialize(root[0])


@st.composite
def _mutated_bytes(draw: st.DrawFn, data: bytes, tokens: Sequence[bytes], others: Sequence[bytes]) -> bytes:
    for _ in range(draw(_COUNTS)):
        start = draw(_POSITIONS) % (len(data) + 1)
        end = min(len(data), start + draw(st.sampled_from((0, 1, 1, 2, 4, 8, 40, 1000))))
        before, part, after = data[:start], data[start:end], data[end:]
        action = draw(
            st.sampled_from(("delete", "overwrite", "insert", "flip", "repeat", "truncate", "move", "splice"))
        )
        if action == "delete":
            data = before + after
        elif action == "overwrite":
            token = draw(st.sampled_from(tokens))
            data = before + token + data[start + len(token) :]
        elif action == "insert":
            data = before + draw(st.sampled_from(tokens)) + part + after
        elif action == "flip":
            mask = draw(st.integers(1, 255))
            data = before + bytes(byte ^ mask for byte in part) + after
        elif action == "repeat":
            count = max(2, min(1000, _MAX_REPEATED_BYTES // (len(part) + 1)))
            data = before + part * count + after
        elif action == "truncate":
            data = before
        elif action == "move":
            target = draw(_POSITIONS) % (len(before) + len(after) + 1)
            rest = before + after
            data = rest[:target] + part + rest[target:]
        else:
            other = draw(st.sampled_from(others))
            offset = draw(_POSITIONS) % (len(other) + 1)
            data = before + other[offset : offset + 2000] + after
    return data


@st.composite
def mutated_documents(draw: st.DrawFn, documents: Sequence[Document], tokens: Sequence[bytes] = ()) -> bytes:
    """Mutate one of `documents`, in its structure, its bytes, or both.

    Args:
        draw: provided by Hypothesis.
        documents: valid documents of one format.
        tokens: bytes that have a meaning in the format.
    """
    document = draw(st.sampled_from(documents))
    data, level = document.data, draw(st.sampled_from(("structure", "structure", "bytes", "both")))
    if document.structure is not None and level != "bytes":
        data = draw(_mutated_structures(document))
        if level == "structure":
            return data
    return draw(_mutated_bytes(data, (*tokens, *tokens, *HOSTILE_BYTES), [one.data for one in documents]))
