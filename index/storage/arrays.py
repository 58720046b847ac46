"""Arrays out of the bytes of files that nobody vouches for: of the wanted type and shape, or refused."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def npy_array(content: bytes, dtype: DTypeLike, length: int) -> NDArray[Any]:
    """Return the array (length,) in a .npy file, without a copy and read-only.

    Raises:
        ValueError: it is of another type, order or length, or damaged.
    """
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it is not an array of version 1.0")
    shape, fortran, found = np.lib.format.read_array_header_1_0(stream, max_header_size=1000)
    if found != np.dtype(dtype) or shape != (length,) or fortran:
        raise ValueError(f"it holds {found} {shape}, expected {np.dtype(dtype)} ({length},)")
    array = np.frombuffer(content, found, offset=stream.tell())
    if len(array) != length:
        raise ValueError(f"it ends after {len(array)} of {length} numbers")
    return array


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
