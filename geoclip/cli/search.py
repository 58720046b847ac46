"""`geoclip search`."""

from pathlib import Path

from geoclip.answer import Answer
from geoclip.cli.session import Encoding, Target, open_locator
from geoclip.cli.terminal import progress
from geoclip.errors import InputError
from geoclip.location_encoder import EMBEDDING_DIM
from geoclip.precision import Precision
from geoclip.vectors import read_vectors


def run(vectors: Path, *, top: int, target: Target, device: str) -> None:
    """Answer for each vector of a file."""
    if not vectors.exists():
        raise InputError(f"{vectors} does not exist; make it with `geoclip embed`.")
    locator = open_locator(Encoding(None, device, Precision.AUTO, None, 1, as_released=False))
    done = 0
    with target.open() as writer, progress("Searching", beside_answers=target.path is None) as update:
        for batch in read_vectors(vectors, dim=EMBEDDING_DIM, model_digest=locator.release.model_digest):
            for name, predictions in zip(batch.names, locator.predictions(batch.vectors, top), strict=True):
                writer.write(Answer(name, predictions))
            done += len(batch.names)
            update(done, None)
