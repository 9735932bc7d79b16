"""Locations are parsed, printed, read and written."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.formats.located_yaml import escape_pointer_token, unescape_pointer_token
from voicegauge.formats.locations import MISSING, parse_location, read_pointer, write_value_at_pointer

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)
_tokens = st.lists(st.text(max_size=3) | st.integers(0, 12).map(str), max_size=5)


@given(pointer_tokens=_tokens.filter(bool))
def test_a_body_location_has_its_keys(pointer_tokens) -> None:
    text = "body#" + "".join(f"/{escape_pointer_token(token)}" for token in pointer_tokens)
    location = parse_location(text)
    assert (location.message_part, location.pointer_tokens, str(location)) == ("body", tuple(pointer_tokens), text)


@given(kind=st.sampled_from(["query", "path", "header"]), name=st.text(min_size=1))
def test_a_parameter_location_has_its_name(kind, name) -> None:
    location = parse_location(f"{kind}.{name}")
    assert (location.message_part, location.name, str(location)) == (kind, name, f"{kind}.{name}")


@given(key=st.text())
def test_escapes_are_undone(key) -> None:
    assert unescape_pointer_token(escape_pointer_token(key)) == key


@pytest.mark.parametrize("text", ["", "text", "/text", "body.text", "body#text", "query.", "cookie.a", "body#/~2"])
def test_anything_else_is_not_a_location(text) -> None:
    with pytest.raises(ValueError, match="is not a valid location"):
        parse_location(text)


@given(root=_json, pointer_tokens=_tokens, new=_json)
def test_a_written_value_is_read(root, pointer_tokens, new) -> None:
    before = copy.deepcopy(root)
    try:
        written = write_value_at_pointer(root, pointer_tokens, new)
    except ValueError:
        assert read_pointer(before, pointer_tokens) is MISSING
    else:
        assert read_pointer(written, pointer_tokens) == new


def test_missing_lists_and_mappings_are_created() -> None:
    assert write_value_at_pointer(None, ["speakers", "1", "preset"], "anna") == {"speakers": [None, {"preset": "anna"}]}
    assert write_value_at_pointer({"0": {}}, ["0", "a"], 1) == {"0": {"a": 1}}


@pytest.mark.parametrize("token", ["x", "-1", "01", "٣", "99999999999", "10000"])
def test_a_list_accepts_only_an_index(token) -> None:
    assert read_pointer([1, 2, 3, 4], [token]) is MISSING
    with pytest.raises(ValueError, match="is not a list index"):
        write_value_at_pointer([], [token], 1)
