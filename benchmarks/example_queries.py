"""Five simulated queries to try the commands with where CLIP's weights cannot be had: writes examples.parquet.

    python -m benchmarks.example_queries [--out examples.parquet]

Each stands for a photo of a known place (see `simulated.py`): its vector is a mixture of the place's own, its
surroundings', a confuser's and noise. The names say so.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.harness import parser
from benchmarks.released_model import released_model
from benchmarks.simulated import SCALES_KM, combine, places, surroundings, unit
from geoclip.release.fetch import released
from geoclip.tables.vectors import ResumableVectors, VectorSource

SEED = 50
EXAMPLES = {
    "simulated: Porto, Ribeira": (41.1407, -8.6130),
    "simulated: Cappadocia": (38.6431, 34.8289),
    "simulated: Banff": (51.1784, -115.5708),
    "simulated: Kyoto, Gion": (35.0037, 135.7772),
    "simulated: Cusco": (-13.5170, -71.9785),
}
DIFFICULTY = 0.25  # of 0 to 1


def main() -> None:
    """Make the vectors and save them."""
    options = parser(__doc__, index=False, out=False)
    options.add_argument("--out", type=Path, default=Path("examples.parquet"), metavar="FILE.parquet")
    arguments = options.parse_args()
    model = released_model()
    encode, gallery = model.exact, model.gallery
    rng = np.random.default_rng(SEED)
    lat_lng = np.array(list(EXAMPLES.values()))
    own = encode(lat_lng)
    scales = [surroundings(lat_lng, km, encode, rng) for km in SCALES_KM]
    confusers = encode(places(gallery, len(own), SEED))
    difficulty = np.full((len(own), 1), DIFFICULTY)
    vectors = combine(own, scales, confusers, unit(rng.standard_normal(own.shape)), difficulty)
    source = VectorSource("photos", released().model_digest, "fp32")
    with ResumableVectors(arguments.out, {"photo": pa.string()}, source, resume=False) as file:
        for name, vector in zip(EXAMPLES, vectors, strict=True):
            file.add((name,), vector)
        print(f"{file.finish()} simulated queries in {arguments.out}")


if __name__ == "__main__":
    main()
