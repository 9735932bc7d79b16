"""Records of which every number is another one, so that a number in a text tells where it came from."""

from __future__ import annotations

import itertools
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from voicegauge.bench.estimates import Estimate
from voicegauge.model.price import PriceRange

RecordT = TypeVar("RecordT", bound=msgspec.Struct)

_FRACTION_NAMES = re.compile(r"rate$|share|similarity|least_steady|duration$|pace$|pitch$|words$")
_HUNDREDTH_NAMES = re.compile(r"_s$|_db$|usd|rtf$")
_NUMBER_PATTERN = re.compile(r"\d[\d,]*(?:\.\d+)?")
MIN_DIGITS = 5
"""Smallest number of digits of a number by which it is recognized."""


def fill_record(
    record_type: type[RecordT],
    fixed: Mapping[str, object] = MappingProxyType({}),
    *,
    first: int = 100_003,
    step: int = 1_009,
) -> tuple[RecordT, dict[str, float]]:
    """Return a record with all optional parts, and its numbers by path, such as `wer.corpus_rate.low`.

    Args:
        record_type: the type of the record; its parts are found by their annotations. A tuple has two elements.
        fixed: values by path that are not made up.
        first: digits of the first number.
        step: distance of the digits of two numbers.
    """
    numbers: dict[str, float] = {}
    made = _fill(record_type, "", itertools.count(first, step), numbers, fixed)
    return typing.cast("RecordT", made), numbers


def _fill(annotation: Any, path: str, count: Iterator[int], numbers: dict[str, float], fixed: Mapping[str, Any]) -> Any:
    def fill(part: Any, part_path: str) -> Any:
        return _fill(part, part_path.lstrip("."), count, numbers, fixed)

    if path in fixed:
        return fixed[path]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is not None:
        return _fill_generic(origin, arguments, path, fill)
    if annotation is PriceRange:
        usd = _draw_number(f"{path}_usd", count, numbers)
        return PriceRange(usd=usd, low_usd=usd, high_usd=usd)
    if annotation in (int, float):
        return _draw_number(path, count, numbers, is_whole=annotation is int)
    if not issubclass(annotation, msgspec.Struct):
        return next(iter(annotation)) if issubclass(annotation, Enum) else annotation()  # "", False
    hints = typing.get_type_hints(annotation, include_extras=True)
    names = [field.name for field in msgspec.structs.fields(annotation)]
    return annotation(**{name: fill(hints[name], f"{path}.{name}") for name in names})


def _fill_generic(origin: Any, arguments: tuple[Any, ...], path: str, fill: Callable[[Any, str], Any]) -> Any:
    if origin in (typing.Union, types.UnionType):
        return fill(next(one for one in arguments if one is not type(None)), path)
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        return tuple(fill(arguments[0], f"{path}[{index}]") for index in range(2))
    if origin is dict:
        return {"timeout": fill(arguments[1], path)}
    return fill(arguments[0], path)  # typing.Annotated


def _draw_number(path: str, count: Iterator[int], numbers: dict[str, float], *, is_whole: bool = False) -> float:
    """Return the next number, in the size that the name of the field suggests: 101,012 ms, 10101.2%, 1010.12 s."""
    *_, parent, name = ["", *path.split(".")]
    unit = name if name not in {"value", "low", "high"} else parent
    number: float = next(count)
    if not is_whole and _FRACTION_NAMES.search(unit):
        number /= 1000
    elif not is_whole and _HUNDREDTH_NAMES.search(unit):
        number /= 100
    numbers[path] = number
    return number


def find_shown_numbers(text: str, numbers: Mapping[str, float]) -> set[str]:
    """Return the paths of the numbers that a text shows, rounded, as they are or in percent."""
    shown = [one.replace(",", "") for one in _NUMBER_PATTERN.findall(text)]
    known = {
        (float(one), len(one.partition(".")[2])) for one in shown if len(one.replace(".", "").lstrip("0")) >= MIN_DIGITS
    }
    return {
        path
        for path, number in numbers.items()
        if any(
            abs(value - number * factor) <= 0.5 * 10**-decimals + 1e-9
            for value, decimals in known
            for factor in (1, 100)
        )
    }


def list_figures(numbers: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    """Return the paths of the numbers by figure. The value, the ends and the sample count of an estimate are one."""
    figures: dict[str, tuple[str, ...]] = {}
    for path in numbers:
        parent, _, name = path.rpartition(".")
        figure = parent if name in Estimate.__struct_fields__ and f"{parent}.value" in numbers else path
        figures[figure] = (*figures.get(figure, ()), path)
    return figures
