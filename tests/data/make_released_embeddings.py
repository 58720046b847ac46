"""Make `released_embeddings.npz` with the authors' package (geoclip==1.3.0), in an environment of its own.

    .venv-released/bin/python tests/data/make_released_embeddings.py

The file holds `lat_lng` (N, 2) float32 degrees and `embeddings` (N, 512) float32 as that package computes them.
"""

from pathlib import Path

import numpy as np
import torch

from geoclip import LocationEncoder

PLACES = [
    *((90.0, 0.0), (-90.0, 0.0), (90.0, 137.5), (-90.0, -45.0)),
    *((0.0, -180.0), (0.0, 179.99998), (66.5, -179.99998), (-16.8, 179.9), (-16.8, -179.9)),
    *((0.0, 0.0), (51.4778, -0.0015), (51.4778, 0.0015), (0.0, 90.0), (-0.0, -90.0)),
    *((48.85837, 2.29448), (40.68925, -74.0445), (-33.85678, 151.2153), (-22.95192, -43.21049)),
    *((35.65858, 139.74543), (1.2834, 103.8607), (64.142, -21.92658), (-54.8019, -68.303), (78.2232, 15.6267)),
    *((27.98833, 86.92528), (-77.85, 166.67)),
]

if __name__ == "__main__":
    lat_lng = np.array(PLACES, dtype=np.float32)
    with torch.no_grad():
        embeddings = LocationEncoder()(torch.from_numpy(lat_lng)).numpy()
    np.savez_compressed(Path(__file__).with_name("released_embeddings.npz"), lat_lng=lat_lng, embeddings=embeddings)
