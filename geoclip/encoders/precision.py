"""Which arithmetic a device computes in: float32, or bfloat16 where the hardware has it."""

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from geoclip.errors import InputError

if TYPE_CHECKING:  # the command line reads the names below before it needs torch
    import torch


class Precision(StrEnum):
    """The arithmetic of the matrix products; inputs, outputs and Fourier features stay float32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


def compute_dtype(precision: Precision | str, device: "torch.device") -> "torch.dtype":
    """Return the dtype that `precision` stands for on `device`; `auto` takes bf16 only where it is fast."""
    try:
        precision = Precision(precision)
    except ValueError:
        raise InputError(f"Precision {precision!r} is unknown; use one of: {', '.join(Precision)}.") from None
    import torch

    if precision is Precision.AUTO:
        return torch.bfloat16 if has_bf16_units(device) else torch.float32
    return torch.bfloat16 if precision is Precision.BF16 else torch.float32


def precision_name(precision: Precision | str, device: "torch.device") -> str:
    """Return `fp32` or `bf16`: what `precision` comes to on `device`."""
    import torch

    return str(Precision.BF16 if compute_dtype(precision, device) is torch.bfloat16 else Precision.FP32)


def has_bf16_units(device: "torch.device") -> bool:
    """Whether `device` multiplies bf16 matrices in hardware (AMX, AVX512-BF16, CUDA from Ampere on)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


def pick_device(device: "str | torch.device" = "auto") -> "torch.device":
    """Return the device asked for; `auto` is the first CUDA GPU, or the CPU where there is none.

    Raises:
        InputError: the name is unknown, or the machine has no such device.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,4})?", str(device)):
        raise InputError(
            f"Device {str(device)!r} is not one that this program computes on; use auto, cpu, cuda or cuda:N."
        )
    number = int(str(device).partition(":")[2] or 0)
    if str(device) != "cpu" and number >= torch.cuda.device_count():
        raise InputError(
            f"Device {str(device)!r} is not here: {torch.cuda.device_count()} CUDA GPUs found; use auto or cpu."
        )
    return torch.device(device)
