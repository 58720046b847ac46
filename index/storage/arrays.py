"""Arrays out of the bytes of files that nobody vouches for: of the wanted type and shape, or refused."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Of version 1.0 (numpy.lib.format); read by numpy, a header is parsed as Python.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<[uif][0-9])', 'fortran_order': False, 'shape': \(([0-9]{1,15}),\), \} *\n",
    re.DOTALL,
)


def npy_array(content: bytes, dtype: DTypeLike, length: int) -> NDArray[Any]:
    """Return the array (length,) in a .npy file, without a copy and read-only.

    Raises:
        ValueError: it is of another type or length, or damaged.
    """
    header = _HEADER.match(content)
    if header is None or len(header[0]) != 10 + int.from_bytes(content[8:10], "little"):
        raise ValueError("it does not hold an array of one dimension")
    found, size = header[1].decode(), int(header[2])
    if found != np.dtype(dtype).str or size != length:
        raise ValueError(f"it holds {size} numbers of the type {found}, expected {length} of {np.dtype(dtype).str}")
    if len(content) != len(header[0]) + length * np.dtype(dtype).itemsize:
        raise ValueError(f"it has {len(content)} bytes, which are not those of {length} numbers")
    return np.frombuffer(content, dtype, offset=len(header[0]))


def tensors(content: bytes, kinds: Mapping[str, tuple[DTypeLike, int]]) -> dict[str, NDArray[Any]]:
    """Return the arrays in a safetensors file.

    Args:
        content: of the file.
        kinds: type and number of dimensions of each array.

    Raises:
        ValueError: names, types or dimensions are others, or a floating number is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        parts: dict[str, NDArray[Any]] = load(content)
    except (SafetensorError, KeyError, TypeError, AttributeError) as error:  # unknown types end in the latter
        raise ValueError(f"it is not a file of arrays ({error})") from error
    for name, (dtype, dimensions) in kinds.items():
        part = parts.get(name)
        if part is None or part.dtype != np.dtype(dtype) or part.ndim != dimensions:
            found = "nothing" if part is None else f"{part.dtype} {part.shape}"
            raise ValueError(f"{name} is {found}, expected {np.dtype(dtype)} of {dimensions} dimensions")
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise ValueError(f"{name} holds values that are not finite")
    if set(parts) != set(kinds):
        raise ValueError(f"it holds {', '.join(sorted(parts))}, expected {', '.join(kinds)}")
    return parts
