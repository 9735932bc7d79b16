"""Ogg pages with a fixed serial number, so that equal samples make equal bytes.

libogg draws the serial number of a stream from the clock. It stands in every page,
under the page's checksum (RFC 3533, section 6).
"""

from __future__ import annotations

import struct

_HEADER = 27
_SERIAL_AT, _CHECKSUM_AT, _SEGMENTS_AT = 14, 22, 26
_POLYNOMIAL = 0x04C11DB7


def _table_entry(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (_POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_TABLE = [_table_entry(byte) for byte in range(256)]


def _checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8) & 0xFFFFFFFF ^ _TABLE[value >> 24 ^ byte]
    return value


def with_serial(data: bytes, serial: int) -> bytes:
    """`data`, whole Ogg pages of one stream, with `serial` in every page."""
    settled = bytearray(data)
    at = 0
    while at + _HEADER <= len(settled):
        segments = settled[at + _SEGMENTS_AT]
        lengths = settled[at + _HEADER : at + _HEADER + segments]
        end = at + _HEADER + segments + sum(lengths)
        struct.pack_into("<I", settled, at + _SERIAL_AT, serial)
        struct.pack_into("<I", settled, at + _CHECKSUM_AT, 0)
        struct.pack_into("<I", settled, at + _CHECKSUM_AT, _checksum(bytes(settled[at:end])))
        at = end
    return bytes(settled)
