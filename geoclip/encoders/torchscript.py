"""The tensors in a TorchScript archive, as OpenAI's CLIP files are. The archive is read and never run.

`torch.jit.load` executes what an archive says, `__setstate__` of its modules for one, which can write files.
"""

import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from geoclip.errors import WeightsError

MAX_PICKLE_BYTES = 64 * 2**20
"""The structure of an archive without its numbers; OpenAI's has 0.2 MB."""
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class TorchScriptTensors(Mapping[str, Tensor]):
    """Tensors by their dotted names, read from the file when asked for.

    Raises:
        OSError, zipfile.BadZipFile, pickle.UnpicklingError and others: the file is damaged, or no such archive.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._archive = path, zipfile.ZipFile(path)
        (inside,) = (name for name in self._archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
        if self._archive.getinfo(inside).file_size > MAX_PICKLE_BYTES:
            raise WeightsError(f"The CLIP checkpoint {path} has a structure larger than any CLIP's.")
        self._folder = inside.removesuffix("data.pkl")
        self._found = dict(_named(_Reader(BytesIO(self._archive.read(inside))).load()))

    def __getitem__(self, name: str) -> Tensor:
        """Read a tensor; it shares memory with no other."""
        wanted = self._found[name]
        entry = self._archive.getinfo(f"{self._folder}data/{wanted.storage.key}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > self._path.stat().st_size:
            raise WeightsError(f"The CLIP checkpoint {self._path} is compressed; torch writes none that are.")
        content = bytearray(self._archive.read(entry))
        return torch.frombuffer(content, dtype=wanted.storage.dtype).as_strided(
            wanted.size, wanted.stride, wanted.start
        )

    def __iter__(self) -> Any:
        """Go through the names."""
        return iter(self._found)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._found)


class _Storage(NamedTuple):
    dtype: torch.dtype
    key: str


class _Stored(NamedTuple):
    """Where a tensor lies."""

    storage: _Storage
    start: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Module:
    """Stands in for every class of the archive: an object with a state."""

    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _stored(storage: _Storage, start: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> _Stored:
    return _Stored(storage, start, size, stride)


def _as_is(value: object, *_: object) -> object:
    return value


class _Reader(pickle.Unpickler):
    """Makes nothing but the classes above: whatever else the pickle names is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _stored,
            ("collections", "OrderedDict"): dict,
            ("torch.jit._pickle", "restore_type_tag"): _as_is,
            ("torch.jit._pickle", "build_intlist"): _as_is,
            ("torch.jit._pickle", "build_tensorlist"): _as_is,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no CLIP needs")
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise pickle.UnpicklingError("it holds something that is no tensor")
        return _Storage(dtype, key)


def _named(top: object) -> Any:
    """Yield dotted names and tensors of a module and of those within it, each module once."""
    waiting, seen = [("", top)], set()
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Stored):
            yield path, value
        elif isinstance(value, _Module) and isinstance(value.state, dict) and id(value) not in seen:
            seen.add(id(value))
            waiting += [(f"{path}.{name}".removeprefix("."), part) for name, part in value.state.items()]
