"""Torch and FAISS bring CUDA of their own, of different versions: they share a process, whichever comes first."""

import subprocess
import sys
from itertools import pairwise

import pytest

from tests.helpers.synthetic import ALPS, small_index

BOTH = """
import numpy as np, torch
vectors = np.random.default_rng(0).normal(size=(1000, 64)).astype(np.float32)
product = (torch.from_numpy(vectors[:5]).cuda() @ torch.from_numpy(vectors).cuda().T).topk(3).indices.cpu().numpy()
index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), 64)
index.add(vectors)
assert (index.search(vectors[:5], 3)[1] == product).all()
again = torch.linalg.svd(torch.from_numpy(vectors).cuda()).S.cpu()
assert torch.allclose(again, torch.linalg.svd(torch.from_numpy(vectors)).S, rtol=1e-3)
"""

OPEN = """
import sys
from types import SimpleNamespace
from index.search.planet import Planet
assert not {"torch", "faiss"} & set(sys.modules)
asked = SimpleNamespace(quickly=lambda points: points, exactly=lambda points: points)
Planet.open(sys.argv[1], asked)
print(*(name for name in sys.modules if name in ("torch", "faiss")))
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.gpu
@pytest.mark.parametrize("order", [("torch", "faiss"), ("faiss", "torch")], ids=" then ".join)
def test_both_compute_on_the_gpu_in_either_order(order: tuple[str, str]) -> None:
    run("".join(f"import {name}\n" for name in order) + BOTH)


def test_torch_is_imported_first() -> None:
    loaded = run(OPEN, str(small_index(ALPS))).split()
    assert list(pairwise(loaded)) == [("torch", "faiss")]
