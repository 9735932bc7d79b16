"""Reads arrays from files that PyTorch's `torch.save` wrote, without PyTorch and without running their code.

Such a file contains pickles. The reader here allows only the few names that tensors need: any other name in a file is
an error, so a hostile file cannot run anything. Both layouts are read: pickles one after the other (before PyTorch
1.6), and a zip file.
"""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ByteStorage": np.dtype("u1"),
}
MAX_ELEMENTS = 64 * 2**20
"""Largest number of elements of all arrays of a file."""
_MAX_MEMO_INDEX = 100_000
"""Largest number of an object that a pickle refers to later: Python allocates memory up to the number."""


class _Storage(NamedTuple):
    """The numbers that one or several tensors are views of, which are read later."""

    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    """A tensor as a view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StorageType(NamedTuple):
    dtype: np.dtype[Any]


def read_torch_weights(content: bytes, key: str) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of the mapping with name `key` of a saved mapping, by their names.

    Raises:
        ValueError: the file has another format, is damaged, or contains anything else than numbers and tensors.
        KeyError: there is no such mapping.
    """
    try:
        saved, storages = _read_zip(content) if content[:2] == b"PK" else _read_legacy(content)
    except (
        *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError, AttributeError, IndexError, TypeError),
        *(KeyError, struct.error, RecursionError, MemoryError, OverflowError, NotImplementedError),
    ) as error:
        raise ValueError(f"it is not a file of PyTorch: {error}") from error
    tensors = saved[key] if isinstance(saved, Mapping) else None
    if not isinstance(tensors, Mapping):
        raise ValueError(f"it contains no mapping {key}")  # noqa: TRY004 - of a file, not of an argument
    return {
        name: _build_array(tensor, storages)
        for name, tensor in tensors.items()
        if isinstance(name, str) and isinstance(tensor, _Tensor)
    }


def _build_array(tensor: _Tensor, storages: Mapping[str, bytes]) -> NDArray[np.generic]:
    numbers = np.frombuffer(storages[tensor.storage.key], tensor.storage.dtype)
    if tensor.offset < 0 or any(one < 0 for one in (*tensor.shape, *tensor.strides)):
        raise ValueError("a tensor has negative dimensions")
    last = tensor.offset + sum(max(size - 1, 0) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if last >= len(numbers) or np.prod(tensor.shape, dtype=float) > MAX_ELEMENTS:
        raise ValueError("a tensor is larger than its storage")
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, [step * numbers.itemsize for step in tensor.strides]
    )
    return np.array(view)


class _RestrictedUnpickler(pickle.Unpickler):
    """Reads pickles of tensors; every name that tensors do not need is an error."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module_name, global_name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module_name == "torch" and global_name in _DTYPES:
            return _StorageType(_DTYPES[global_name])
        raise pickle.UnpicklingError(f"it contains {module_name}.{global_name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _location, length, *_view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError("it refers to something else than numbers")
        return _Storage(str(key), storage_type.dtype, int(length))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_rest: object
) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor: _Tensor, *_rest: object) -> _Tensor:
    return tensor


def _load_pickle(file: io.BytesIO, unpickler: type[_RestrictedUnpickler]) -> Any:
    """Return the object of the pickle at the present place of a file, and go to its end."""
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > _MAX_MEMO_INDEX:
            raise pickle.UnpicklingError("it refers to more objects than tensors need")
    file.seek(start)
    return unpickler(file).load()


def _read_legacy(content: bytes) -> tuple[Any, dict[str, bytes]]:
    """Return the saved object and the bytes of its storages, from pickles one after the other."""
    file = io.BytesIO(content)
    dtypes: dict[str, np.dtype[Any]] = {}

    class Unpickler(_RestrictedUnpickler):
        def persistent_load(self, pid: Any) -> _Storage:
            storage = super().persistent_load(pid)
            dtypes[storage.key] = storage.dtype
            return storage

    if _load_pickle(file, Unpickler) != _LEGACY_MAGIC_NUMBER:
        raise ValueError("it is not a file of PyTorch")
    _load_pickle(file, Unpickler)  # version of the format
    _load_pickle(file, Unpickler)  # sizes and byte order of the machine
    saved, keys = _load_pickle(file, Unpickler), _load_pickle(file, Unpickler)
    storages: dict[str, bytes] = {}
    for key in keys:
        (length,) = struct.unpack("<q", file.read(8))
        storages[str(key)] = file.read(max(length, 0) * dtypes[str(key)].itemsize)
    return saved, storages


def _read_zip(content: bytes) -> tuple[Any, dict[str, bytes]]:
    """Return the saved object and the bytes of its storages, from a zip file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if sum(one.file_size for one in archive.infolist()) > 8 * MAX_ELEMENTS:
            raise ValueError("it is too large")
        (pickled,) = (name for name in names if name.endswith("/data.pkl"))
        prefix = pickled.removesuffix("data.pkl") + "data/"
        saved = _load_pickle(io.BytesIO(archive.read(pickled)), _RestrictedUnpickler)
        return saved, {name.removeprefix(prefix): archive.read(name) for name in names if name.startswith(prefix)}
