"""Devices by name: what is not computed on is refused in a sentence."""

import pytest
import torch

from geoclip.encoders.precision import pick_device
from geoclip.errors import InputError


@pytest.mark.parametrize("name", ["mps", "meta", "xpu", "cuda:-1", "cuda:x", "cpu:0", "gpu", "", "cuda:0\n"])
def test_other_devices_are_one_sentence(name: str) -> None:
    with pytest.raises(InputError, match="use auto, cpu, cuda or cuda:N"):
        pick_device(name)


def test_a_device_of_torch_is_judged_alike() -> None:
    assert pick_device(torch.device("cpu")) == pick_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="'mps' is not one"):
        pick_device(torch.device("mps"))
    with pytest.raises(InputError, match="'cuda:999' is not here"):
        pick_device("cuda:999")
