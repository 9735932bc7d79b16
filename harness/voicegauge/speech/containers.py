"""Recognizes audio containers, and lets libsndfile and FFmpeg read them without disturbing this process.

Both are written in C: they trust the lengths in a file, lose exceptions that Python raises in their callbacks, and
print messages to file descriptor 2, without using Python's `sys.stderr`.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import io
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes.util import find_library
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from voicegauge.errors import MissingExtraError
from voicegauge.model.exchange import FileContent

_CONTAINER_BY_MEDIA_TYPE = {
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/mpeg3": "mp3",
    "audio/x-mp3": "mp3",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/vorbis": "ogg",
    "application/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/aac": "aac",
    "audio/x-aac": "aac",
    "audio/webm": "webm",
    "video/webm": "webm",
    "audio/aiff": "aiff",
    "audio/x-aiff": "aiff",
    "audio/pcm": "pcm",
    "audio/x-pcm": "pcm",
    "audio/l16": "pcm",
    "audio/raw": "pcm",
    "audio/basic": "pcm",
    "audio/pcmu": "pcm",
    "audio/pcma": "pcm",
}
_CONTAINER_BY_MAGIC_BYTES = {b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "webm", b"ID3": "mp3"}
"""Containers by the bytes with which their files begin."""
_MIN_PLACEHOLDER_LENGTH_BYTES = 0x7F000000
"""A length in a WAV header that is not smaller than this is a placeholder, as is 0. Programs that stream a file write a
placeholder because they do not know the real length: 0x7FFF0000, 0x7FFFF000 (SoX), 0x7FFFFFFF, 0xFFFFFFFF and others.
No real response has two gigabytes."""
_MAX_WAV_CHUNKS = 64
"""Maximum number of chunks of a WAV file that are searched for the samples. Real files have fewer than ten chunks."""

_WAV_PCM_FORMAT_CODE = 1
"""Format code of uncompressed integers in a WAV file (WAVE_FORMAT_PCM)."""


class WavData(NamedTuple):
    """Where the samples of a WAV file are, and how many bytes they have."""

    size_field_offset: int
    """Offset, in the file, of the four bytes that declare the size of the samples."""
    declared_size_bytes: int | None
    """Declared size of the samples in bytes; `None` if the file was streamed and declares no real size."""
    actual_size_bytes: int
    """Number of bytes that the file contains from the start of the samples to its end."""
    mono_16_bit_sample_rate_hz: int | None
    """Sample rate if the samples are 16-bit integers in one channel, as speech usually is; `None` for other samples."""


def find_container_of_media_type(media_type: str | None) -> str | None:
    """Return the container of a media type: "wav", "mp3", "flac", "ogg", "m4a", "aac", "webm", "aiff" or "pcm".

    Parameters after a semicolon are ignored. The result is `None` if the media type is not a known audio type, as for
    "application/octet-stream", or is missing (`None`).
    """
    return _CONTAINER_BY_MEDIA_TYPE.get((media_type or "").split(";")[0].strip().lower())


def sniff_container(audio_bytes: FileContent) -> str | None:
    """Detect the container from the first bytes; `None` if it is unknown.

    The names are those of `find_container_of_media_type`. Raw PCM is never detected, because it has no header.
    """
    if audio_bytes[:4] in (b"RIFF", b"RF64", b"RIFX") and audio_bytes[8:12] == b"WAVE":
        return "wav"
    if audio_bytes[:4] == b"FORM" and audio_bytes[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if audio_bytes[4:8] == b"ftyp":
        return "m4a"
    for magic, container in _CONTAINER_BY_MAGIC_BYTES.items():
        if audio_bytes[: len(magic)] == magic:
            return container
    return _sniff_mpeg(audio_bytes)


def is_container_uncertain(audio_bytes: FileContent) -> bool:
    """Whether the result of `sniff_container` rests on a few bits only, which raw samples may have by chance."""
    return _sniff_mpeg(audio_bytes) is not None


def _sniff_mpeg(audio_bytes: FileContent) -> str | None:
    # An MPEG audio frame starts with eleven set bits, an ADTS frame with twelve. Layer 0 is AAC.
    # MPEG version 1, bit rate 15 and sample rate 3 are reserved values (ISO/IEC 11172-3, 2.4.2.3).
    if len(audio_bytes) < 4 or audio_bytes[0] != 0xFF or audio_bytes[1] & 0xE0 != 0xE0:
        return None
    version, layer = audio_bytes[1] >> 3 & 3, audio_bytes[1] >> 1 & 3
    bitrate, rate = audio_bytes[2] >> 4, audio_bytes[2] >> 2 & 3
    if layer == 0:
        return "aac" if audio_bytes[1] & 0xF0 == 0xF0 else None
    return "mp3" if layer == 1 and version != 1 and bitrate != 15 and rate != 3 else None


_MIN_MP3_FRAME_BYTES = 24
"""Size of the shortest frame of MP3: 8 kbit/s at 24,000 Hz (ISO/IEC 13818-3, 2.4.2.3)."""


def find_wav_data(audio_bytes: FileContent) -> WavData | None:
    """Find the samples of a WAV file; `None` if `audio_bytes` is not a WAV file or has no data chunk."""
    if audio_bytes[:4] != b"RIFF" or audio_bytes[8:12] != b"WAVE":
        return None
    at, rate_hz = 12, None
    for _ in range(_MAX_WAV_CHUNKS):
        if at + 8 > len(audio_bytes):
            return None
        (size,) = struct.unpack_from("<I", audio_bytes, at + 4)
        if audio_bytes[at : at + 4] == b"data":
            # A size of 0 is what programs write first, before they know the real one and go back to it.
            declared = size if 0 < size < _MIN_PLACEHOLDER_LENGTH_BYTES else None
            return WavData(at + 4, declared, len(audio_bytes) - at - 8, rate_hz)
        if audio_bytes[at : at + 4] == b"fmt " and at + 24 <= len(audio_bytes):
            encoding, channels, rate, _, frame_bytes, sample_bits = struct.unpack_from("<HHIIHH", audio_bytes, at + 8)
            is_mono_16_bit = (encoding, channels, frame_bytes, sample_bits) == (_WAV_PCM_FORMAT_CODE, 1, 2, 16)
            rate_hz = rate if is_mono_16_bit else None
        at += 8 + size + size % 2  # chunks are padded to even sizes
    return None


class _AudioReader(io.BytesIO):
    """The file object from which libsndfile reads encoded audio that is in memory.

    In a damaged AIFF file, libsndfile may seek to a negative position. `seek` then keeps the position. It raises no
    exception, because libsndfile could not pass the exception on.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position, and return it. If the new position would be negative, the position is not changed."""
        try:
            return super().seek(offset, whence)
        except ValueError:  # would only be printed, because libsndfile cannot pass exceptions on
            return self.tell()


class _PatchedReader(_AudioReader):
    """A file object that returns other bytes than the file has at some offsets.

    The bytes are replaced when they are read, because replacing them in memory would copy the whole file.
    """

    def __init__(self, audio_bytes: FileContent, bytes_by_offset: Mapping[int, bytes]) -> None:
        super().__init__(audio_bytes)
        self._patches = bytes_by_offset

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`. This is the method that libsndfile uses."""
        start, size = self.tell(), super().readinto(buffer)
        view = memoryview(buffer)
        for at, patch in self._patches.items():
            low, high = max(at, start), min(at + len(patch), start + size)
            if low < high:
                view[low - start : high - start] = patch[low - at : high - at]
        return size


class _PrefixedReader(io.RawIOBase):
    """A file object that returns `prefix` and then the bytes of a file from `start` on, without a copy of them."""

    def __init__(self, prefix: bytes, audio_bytes: FileContent, start: int) -> None:
        super().__init__()
        self._prefix, self._content, self._start, self._at = prefix, audio_bytes, start, 0
        self._size = len(prefix) + max(len(audio_bytes) - start, 0)

    def seekable(self) -> bool:
        """Return `True`, because the stream can be repositioned."""
        return True

    def readable(self) -> bool:
        """Return `True`, because bytes can be read."""
        return True

    def tell(self) -> int:
        """Return the position in bytes from the start of the prefix."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position, and return it. It is never negative."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence, self._size)
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`. This is the method that libsndfile uses."""
        view = memoryview(buffer).cast("B")
        filled = 0
        if self._at < len(self._prefix):
            part = self._prefix[self._at : self._at + len(view)]
            view[: len(part)] = part
            filled = len(part)
        start = self._start + self._at + filled - len(self._prefix)
        rest = self._content[start : start + len(view) - filled]
        view[filled : filled + len(rest)] = rest
        self._at += filled + len(rest)
        return filled + len(rest)


def open_audio(audio_bytes: FileContent) -> io.RawIOBase | io.BytesIO:
    """Return a file object from which libsndfile reads encoded audio.

    If the audio is a streamed WAV file, the header that is read declares the real length instead of a placeholder. If
    it is MP3 that states no length, a frame that states a sufficient length is put before it.
    """
    first_frame = _build_mp3_length_frame(audio_bytes)
    if first_frame is not None:
        return _PrefixedReader(first_frame, audio_bytes, _find_mp3_start(audio_bytes))
    wav_data = find_wav_data(audio_bytes)
    if wav_data is None or wav_data.declared_size_bytes is not None or not wav_data.actual_size_bytes:
        return _AudioReader(audio_bytes)
    # The size of the whole file at offset 4 is a placeholder, too.
    sizes = {4: len(audio_bytes) - 8, wav_data.size_field_offset: wav_data.actual_size_bytes}
    return _PatchedReader(audio_bytes, {at: struct.pack("<I", size) for at, size in sizes.items()})


def is_streamed_flac(audio_bytes: FileContent) -> bool:
    """Whether a file is FLAC whose header states that the number of samples is unknown (RFC 9639, section 8.2)."""
    # The number has 36 bits and follows the sample rate, channels and sample size in the STREAMINFO block.
    return (
        audio_bytes[:4] == b"fLaC" and len(audio_bytes) > 26 and not (audio_bytes[21] & 0x0F or any(audio_bytes[22:26]))
    )


def declares_length(audio_bytes: FileContent, container: str) -> bool:
    """Whether the file itself declares the number of frames that libsndfile reports.

    This is the case for FLAC (STREAMINFO block) and for MP3 with a Xing or Info header. For other files, libsndfile
    counts or estimates the frames.
    """
    if container == "flac":
        return True
    if container != "mp3":
        return False
    start = _find_mp3_start(audio_bytes)
    first_frame = audio_bytes[start : start + 1024]
    return b"Xing" in first_frame or b"Info" in first_frame


def _find_mp3_start(audio_bytes: FileContent) -> int:
    """Return the offset of the first frame of MP3, which is behind an ID3 tag if there is one."""
    if audio_bytes[:3] != b"ID3" or len(audio_bytes) <= 10:
        return 0
    # The size has seven bits per byte (ID3v2.4, section 6.2).
    return 10 + (audio_bytes[6] << 21 | audio_bytes[7] << 14 | audio_bytes[8] << 7 | audio_bytes[9])


def _build_mp3_length_frame(audio_bytes: FileContent) -> bytes | None:
    """Build a silent first frame with a Xing header; `None` for other files than MP3 without a length.

    libsndfile estimates the length of such a file by its first frames, and reads no further, so it may lose the end of
    a file with a variable bit rate. The header states the number of frames that the file would have if all frames were
    as short as possible. The decoder does not play this frame, and leaves out its own delay of 529 samples.
    """
    start = _find_mp3_start(audio_bytes)
    header = bytes(audio_bytes[start : start + 4])
    if _sniff_mpeg(header) != "mp3" or declares_length(audio_bytes, "mp3"):
        return None
    if b"VBRI" in audio_bytes[start : start + 64]:  # another header with a length
        return None
    version, rate, is_mono = header[1] >> 3 & 3, header[2] >> 2 & 3, header[3] >> 6 == 3
    is_mpeg_1 = version == 3
    sample_rate_hz = (44_100, 48_000, 32_000)[rate] >> (3 - version if version else 2)
    side_size = (17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17)
    size = (144 if is_mpeg_1 else 72) * 64_000 // sample_rate_hz
    first = bytes([0xFF, header[1] | 1, (5 if is_mpeg_1 else 8) << 4 | rate << 2, header[3] & 0xC0])
    # Too many frames do no harm: the decoder stops at the end of the file.
    frame_count = len(audio_bytes) // _MIN_MP3_FRAME_BYTES + 1
    frame = first + bytes(side_size) + b"Xing" + struct.pack(">II", 1, frame_count)
    return frame.ljust(size, b"\0")


# Loads FFmpeg with a limit on the memory that FFmpeg allocates for a hostile file.


MAX_ALLOCATION_BYTES = 32 * 2**20
"""Maximum size of one block of memory. An MP4 file of one kilobyte can declare a table of a billion samples, each of
which takes 32 bytes in an index of FFmpeg. Half an hour of speech has fewer than 200,000."""


def require_av() -> None:
    """Check that PyAV is installed, before something is sent or paid for that needs it.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    if importlib.util.find_spec("av") is None:
        raise MissingExtraError("PyAV, which reads and writes AAC, M4A and WebM and measures MP3,", "emulator")


@functools.cache
def load_av() -> Any:
    """Import PyAV, and limit the allocations of the FFmpeg libraries that PyAV has loaded.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    require_av()
    import av

    for path in _find_libavutil_paths(Path(av.__file__).parent):
        with contextlib.suppress(OSError, AttributeError):  # decoding also works without the limit
            ctypes.CDLL(path).av_max_alloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES))  # PyAV does not offer this function
    return av


def _find_libavutil_paths(package_path: Path) -> list[str]:
    """Return the paths of the libavutil libraries that PyAV contains; if there are none, that of the system."""
    bundled = [*package_path.parent.glob("av.libs/libavutil*"), *package_path.glob(".dylibs/libavutil*")]
    system = find_library("avutil")
    return [str(path) for path in bundled] or ([system] if system else [])


# Delays Ctrl-C during calls to C libraries that call back into Python.


@contextmanager
def defer_keyboard_interrupt() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block. This function can also be used as a decorator.

    SIGTERM and SIGALRM are delayed too if they have a handler, which may raise the same exception. libsndfile reads and
    writes memory through Python callbacks. If a callback raises an exception, the exception is printed and lost, and
    the file that was being written is incomplete.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during the block, or raised by another handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    if handlers[signal.SIGINT] is not signal.default_int_handler:
        del handlers[signal.SIGINT]  # Ctrl-C raises no exception here, so there is nothing to delay
    delayed = {number: handler for number, handler in handlers.items() if callable(handler)}
    received: list[int] = []
    for number in delayed:
        signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in delayed.items():
            signal.signal(number, handler)
        # Only now that the handlers are back, because each may raise, and the rest of the block was to be finished.
        for received_number in received:
            signal.raise_signal(received_number)


# Suppresses messages that audio decoders print about damaged files.


_STDERR_FD = 2
"""File descriptor of the standard error of a process."""


def suppress_decoder_stderr() -> None:
    """Discard everything that C libraries write to standard error from now on; Python's messages are still printed.

    This function is only for processes of voicegauge that do nothing but decode untrusted audio.
    """
    sys.stderr = os.fdopen(os.dup(_STDERR_FD), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR_FD)


class _StderrSwitch:
    """Redirects file descriptor 2 to the null device while at least one thread discards messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # File descriptor 2 belongs to the whole process, and threads decode at once: the first thread redirects it, and
        # the last one restores it.
        self._users = 0
        self._original_fd: int | None = None
        self._devnull_fd: int | None = None
        self._replaced: TextIO | None = None
        self._replacement: TextIO | None = None
        self._is_redirected = False

    def start_redirecting(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                with contextlib.suppress(OSError):  # without a standard error there is nothing to redirect
                    self._redirect_stderr()

    def stop_redirecting(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore_stderr()

    def _redirect_stderr(self) -> None:
        # The descriptors are kept open: a thread may still hold the replacement of sys.stderr after the end.
        if self._original_fd is None or self._devnull_fd is None:
            self._original_fd, self._devnull_fd = os.dup(_STDERR_FD), os.open(os.devnull, os.O_WRONLY)
        else:
            os.dup2(_STDERR_FD, self._original_fd, inheritable=False)
        if _writes_to_stderr_fd(sys.stderr):
            sys.stderr.flush()
            self._replaced = sys.stderr
            self._replacement = sys.stderr = _open_text_stream(self._original_fd, original_stream=sys.stderr)
        os.dup2(self._devnull_fd, _STDERR_FD)
        self._is_redirected = True

    def _restore_stderr(self) -> None:
        if self._original_fd is None or not self._is_redirected:
            return
        self._is_redirected = False
        os.dup2(self._original_fd, _STDERR_FD)
        if self._replaced is not None and sys.stderr is self._replacement:
            sys.stderr = self._replaced
        self._replaced = self._replacement = None


_stderr_switch = _StderrSwitch()
"""The only switch of the process, which has one file descriptor 2."""


@contextlib.contextmanager
def discard_decoder_messages() -> Iterator[None]:
    """Discard what C libraries write to standard error during the block. Messages of Python are still printed."""
    _stderr_switch.start_redirecting()
    try:
        yield
    finally:
        _stderr_switch.stop_redirecting()


def _writes_to_stderr_fd(stream: TextIO | None) -> bool:
    """Whether `stream` writes to file descriptor 2: not if it is `None`, and often not in test runners or terminals."""
    try:
        return stream is not None and stream.fileno() == _STDERR_FD
    except (OSError, ValueError, AttributeError):
        return False


def _open_text_stream(file_descriptor: int, original_stream: TextIO) -> TextIO:
    raw = open(file_descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115 - stays open, see above
    return io.TextIOWrapper(raw, encoding=original_stream.encoding, errors=original_stream.errors, write_through=True)
