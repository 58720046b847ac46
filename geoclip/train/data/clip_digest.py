"""Which CLIP tower made features: a digest of its weights, the same in every file format and precision."""

import hashlib

import torch
from torch import nn


def tower_digest(tower: nn.Module) -> str:
    """Return the sha256 of a tower's parameters and buffers, rounded to bfloat16, with their names.

    Rounded because a tower that computes in bfloat16 has only those numbers; rounding twice changes nothing.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tower.state_dict().items()):
        rounded = tensor.detach().to("cpu", torch.bfloat16).contiguous()
        digest.update(f"{name}{tuple(rounded.shape)}".encode())
        digest.update(rounded.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()
