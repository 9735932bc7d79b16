"""Defines what a client uses of an API: the operations that it calls, and the values that it sends and reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from voicegauge.formats import EVERY_ITEM, Location


class SentValues(NamedTuple):
    """The values that a client sends in one request, or that a declaration lists."""

    locations: frozenset[Location]
    source: str
    """Where the values are stated: "uses.yaml:5", or "client.har, request 3"."""

    def find_overlapping_location(self, location: Location) -> Location | None:
        """Return the location of a sent value that is at, around or inside `location`; `None` if there is none."""
        return next(iter(_iterate_overlapping_locations(self.locations, location)), None)


@dataclass
class OperationUse:
    """What the client sends to one operation, and what it reads of the operation's responses."""

    sent_values: list[SentValues] = field(default_factory=list)
    """One item for each recorded request and for each declaration: the values that it sends or lists."""
    are_sent_values_complete: bool = True
    """Whether `sent_values` lists everything that the client sends."""
    source_by_read_location: dict[Location, str] | None = None
    """By the location of each value that the client reads: the place where a file declares it. `None` if it is not
    known what the client reads."""

    @property
    def are_sent_values_known(self) -> bool:
        """Whether it is known what the client sends."""
        return bool(self.sent_values) and self.are_sent_values_complete

    @property
    def are_read_locations_known(self) -> bool:
        """Whether it is known what the client reads."""
        return self.source_by_read_location is not None

    def find_read_location(self, location: Location) -> tuple[Location, str] | None:
        """Return the location of a value that the client reads, and where it is declared; `None` if there is none.

        The location of the value is `location` itself, or a location around or inside it.
        """
        declared = self.source_by_read_location or {}
        found = next(iter(_iterate_overlapping_locations(declared, location)), None)
        return None if found is None else (found, declared[found])

    def add_read_locations(self, locations: Iterable[Location], source: str) -> None:
        """Add the locations of values that the client reads, and the place where a file declares them."""
        known = self.source_by_read_location
        self.source_by_read_location = {**dict.fromkeys(locations, source), **(known or {})}


@dataclass
class ClientUses:
    """What one client uses of an API. The client calls no operations other than those listed here."""

    operation_use_by_name: dict[str, OperationUse] = field(default_factory=dict)
    """What the client uses of each operation, by `operationId`, or by method and path ("GET /voices") if the operation
    has no `operationId`."""
    unreadable_file_messages: list[str] = field(default_factory=list)
    """One line, with the reason, for each file of a folder that could not be read as a recording. If there are such
    files, the client may use more than is listed here."""

    def find_or_add_operation_use(self, operation_name: str) -> OperationUse:
        """Return what the client uses of an operation. An operation that is not listed yet is added without uses."""
        return self.operation_use_by_name.setdefault(operation_name, OperationUse())


def _iterate_overlapping_locations(used_locations: Iterable[Location], location: Location) -> Iterator[Location]:
    for other in used_locations:
        if other.message_part != location.message_part:
            continue
        if location.is_in_body or location.message_part == "query":
            if _are_names_equal(other, location) and _is_one_inside_other(
                other.pointer_tokens, location.pointer_tokens
            ):
                yield other
        elif other.name.lower() == location.name.lower():
            yield other


def _are_names_equal(used_location: Location, location: Location) -> bool:
    # An object in the query is sent as several parameters: filter[name]=a
    return used_location.name == location.name or used_location.name.startswith(f"{location.name}[")


def _is_one_inside_other(first_pointer_tokens: tuple[str, ...], second_pointer_tokens: tuple[str, ...]) -> bool:
    """Whether two pointers are equal or one is inside the other. The token `EVERY_ITEM` is equal to every token."""
    return all(
        one == other or EVERY_ITEM in (one, other)
        for one, other in zip(
            first_pointer_tokens, second_pointer_tokens, strict=False
        )  # the rest of the longer pointer is inside of the shorter
    )
