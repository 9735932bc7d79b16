"""Sets a fixed serial number in Ogg files, so that equal samples give equal files.

libsndfile gives each stream a different serial number. The number is part of every page and is covered by the checksum
of the page (RFC 3533, section 6).
"""

from __future__ import annotations

import struct

_PAGE_HEADER_BYTES = 27
_SERIAL_AT, _CHECKSUM_AT, _SEGMENTS_AT = 14, 22, 26
"""Offsets, in a page, of the serial number, the checksum and the number of segments."""
_CRC_POLYNOMIAL = 0x04C11DB7
"""Polynomial of CRC-32. Unlike Ethernet, Ogg uses no reflection and inversion, so `zlib.crc32` cannot be used."""


def _compute_crc_table_entry(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = (value << 1) ^ (_CRC_POLYNOMIAL if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_CRC_TABLE = [_compute_crc_table_entry(byte) for byte in range(256)]


def _compute_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value = (value << 8) & 0xFFFFFFFF ^ _CRC_TABLE[value >> 24 ^ byte]
    return value


def set_ogg_serial_number(ogg_bytes: bytes, serial_number: int) -> bytes:
    """Return a copy of `ogg_bytes` with `serial_number` in every page.

    `ogg_bytes` must consist of complete pages of one stream.
    """
    pages = bytearray(ogg_bytes)
    at = 0
    while at + _PAGE_HEADER_BYTES <= len(pages):
        segments = pages[at + _SEGMENTS_AT]
        lengths = pages[at + _PAGE_HEADER_BYTES : at + _PAGE_HEADER_BYTES + segments]
        end = at + _PAGE_HEADER_BYTES + segments + sum(lengths)
        struct.pack_into("<I", pages, at + _SERIAL_AT, serial_number)
        struct.pack_into("<I", pages, at + _CHECKSUM_AT, 0)
        struct.pack_into("<I", pages, at + _CHECKSUM_AT, _compute_checksum(bytes(pages[at:end])))
        at = end
    return bytes(pages)
