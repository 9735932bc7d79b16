"""Any mutated document is loaded or rejected in one line; no other exception is raised."""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_contract
from voicegauge.errors import ContractError

_LINES = st.integers(0, 10_000)
_VALUES = ["null", "{}", "[]", "''", "true", "-1", "1e9", "[a, b]", "{a: b}", "[{}]", "{a: {}}", "[[]]"]
_MARKS = ["*a", "&a x", "!x y", ":", "}", "- ", "\t", "é", '"']
_NODES: list[Any] = [None, {}, [], "", "x", True, -1, 1e9, ["a"], {"a": {}}, [{}], [[]], {"": 0}]
_JUNK = st.sampled_from(_VALUES + _MARKS)


def use(contract: Contract) -> None:
    """Access everything that readers of a contract use."""
    assert isinstance(contract.version, str)
    for operation in contract.operations.values():
        for media in operation.request_media.values():
            for example in media.examples:
                list(media.iterate_violations(example.value))
        for response in operation.responses.values():
            list(response.headers)
            for media in response.media_types.values():
                list(media.iterate_violations({"id": "a", "state": "done"}))
    for target in contract.targets.values():
        assert target.response
        assert target.pricing is None or target.pricing.unit
    list(contract.iterate_disputes("/paths/~1v1~1speech/post/responses/200"))


def load_or_refuse(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        use(load_contract(path))
    except ContractError as error:
        message = str(error)
    else:
        message = str(path)
    assert message.startswith(str(path))
    assert "\n" not in message


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("edits") / "openapi.yaml"


EDITED = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@EDITED
@given(line=_LINES, count=st.integers(1, 6))
def test_removed_lines(acme, path, line, count) -> None:
    lines = acme.splitlines()
    begin = line % len(lines)
    load_or_refuse(path, "\n".join(lines[:begin] + lines[begin + count :]))


@EDITED
@given(line=_LINES, junk=_JUNK | st.text(max_size=6))
def test_a_replaced_value(acme, path, line, junk) -> None:
    lines = acme.splitlines()
    index = line % len(lines)
    key, colon, _ = lines[index].partition(": ")
    lines[index] = f"{key}{colon}{junk}"
    load_or_refuse(path, "\n".join(lines))


@EDITED
@given(position=_LINES, gone=st.integers(0, 12), text=_JUNK | st.text(max_size=4))
def test_replaced_text(acme, path, position, gone, text) -> None:
    begin = position % len(acme)
    load_or_refuse(path, acme[:begin] + text + acme[begin + gone :])


@EDITED
@given(first=_LINES, second=_LINES)
def test_swapped_lines(acme, path, first, second) -> None:
    lines = acme.splitlines()
    one, other = first % len(lines), second % len(lines)
    lines[one], lines[other] = lines[other], lines[one]
    load_or_refuse(path, "\n".join(lines))


@EDITED
@given(line=_LINES, depth=st.integers(-3, 3))
def test_a_line_with_another_indentation(acme, path, line, depth) -> None:
    lines = acme.splitlines()
    index = line % len(lines)
    lines[index] = " " * depth + lines[index] if depth > 0 else lines[index][-2 * depth :]
    load_or_refuse(path, "\n".join(lines))


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


@EDITED
@given(
    number=_LINES, new=st.sampled_from([None, {}, [], "", "x", True, -1, 1e9, ["a"], {"a": {}}, [{}], [[]], {"": 0}])
)
def test_a_replaced_node(acme, path, number, new) -> None:
    data = yaml.safe_load(acme)
    positions = list(paths(data))
    *parents, last = positions[number % len(positions)]
    functools.reduce(operator.getitem, parents, data)[last] = new
    load_or_refuse(path, json.dumps(data))


@given(raw=st.binary(max_size=200))
def test_any_bytes(path, raw) -> None:
    path.write_bytes(raw)
    with pytest.raises(ContractError):
        load_contract(path)
