"""A service of a small index, as tests ask it."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoclip.encoders.location import LocationEncoder
from tests.helpers.commands import geoclip
from tests.helpers.pictures import make_photo
from tests.helpers.small_release import SmallRelease

PLACES = {"FR": (47.60, 7.48), "DE": (47.65, 7.72), "CH": (47.48, 7.65)}
"""Around Basel, each some kilometres from its borders."""


class ServedWork(NamedTuple):
    """What a service is given, and what it is asked."""

    folder: Path
    basel: Path
    """The index."""
    photos: list[Path]
    vectors: NDArray[np.float32]
    """Of `PLACES`."""

    def json_vectors(self, **others: Any) -> bytes:
        """The vectors as a body."""
        return json.dumps({"vectors": self.vectors.tolist(), **others}).encode()

    def json_photos(self, count: int = 1) -> bytes:
        """Photos as a body."""
        photos = [
            {"name": path.name, "data": base64.b64encode(path.read_bytes()).decode()} for path in self.photos[:count]
        ]
        return json.dumps({"photos": photos}).encode()


def served_work(folder: Path, encoder: LocationEncoder, small_towers: SmallRelease) -> ServedWork:
    """Build a small index around Basel, and make photos and vectors."""
    assert small_towers.clip.is_file()
    done = geoclip("build", folder / "basel", "--region", "disk:47.56,7.6,16")
    assert done.exit_code == 0, done.stderr
    photos = [make_photo(folder / "photos" / f"{i}.png", seed=i) for i in range(6)]
    vectors = np.asarray(encoder.embed(np.array(list(PLACES.values()))), dtype=np.float32)
    return ServedWork(folder, folder / "basel", photos, vectors)
