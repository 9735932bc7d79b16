"""Sends records between two processes, each as its length followed by MessagePack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, TypeVar

import msgspec

RecordT = TypeVar("RecordT")
_LENGTH_PREFIX_BYTES = 8


def write_record(stream: IO[bytes], record: Any) -> None:
    """Write one record.

    Raises:
        OSError: nobody reads the stream any more.
    """
    data = msgspec.msgpack.encode(record)
    stream.write(len(data).to_bytes(_LENGTH_PREFIX_BYTES, "big"))
    stream.write(data)
    stream.flush()


def iterate_records(stream: IO[bytes], record_type: type[RecordT]) -> Iterator[RecordT]:
    """Yield the records in a stream until its end. An incomplete record at the end is left out."""
    while len(head := stream.read(_LENGTH_PREFIX_BYTES)) == _LENGTH_PREFIX_BYTES:
        length = int.from_bytes(head, "big")
        data = stream.read(length)
        if len(data) < length:
            return
        yield msgspec.msgpack.decode(data, type=record_type)
