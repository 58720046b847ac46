"""The released location encoder, timed by its own environment: `BATCH TIMES` in on stdin, seconds out on stdout."""

import json
import sys
import time

import numpy as np
import torch
from released_answers import released_package


def main() -> None:
    """Answer until stdin ends."""
    torch.set_grad_enabled(False)
    encoder = released_package().LocationEncoder().eval()
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        batch, times = map(int, line.split())
        points = torch.from_numpy(
            np.random.default_rng(0).uniform((-60, -180), (70, 180), (batch, 2)).astype(np.float32)
        )
        begun = time.perf_counter()
        for _ in range(times):
            encoder(points)
        print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)


if __name__ == "__main__":
    main()
