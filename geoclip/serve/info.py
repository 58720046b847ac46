"""What is served: the answer of `GET /v1/index`."""

import hashlib

from pydantic import BaseModel, Field

from geoclip.answers.searchers import PlanetSearcher
from geoclip.options import Candidates
from geoclip.serve.shared import SharedIndex
from index.search.descent import FINEST_ANSWER
from index.storage.manifest import MANIFEST


class Limits(BaseModel):
    """What one request may hold."""

    upload_mb: int
    photos: int
    vectors: int


class IndexInfo(BaseModel):
    """An index or gallery that is served."""

    name: str
    candidates: Candidates
    digest: str = Field(description="Names the content of the index; empty for a gallery.")
    model: str = Field(description="Digest of the model that vectors must come from.")
    dim: int = Field(description="Numbers in a vector.")
    resolutions: list[int] = Field(description="The coarsest and the finest H3 resolution of answers.")
    calibrated: bool
    replaced: bool = Field(description="Its folder holds another index by now; this one is served until a restart.")


class ServiceInfo(BaseModel):
    """What is served."""

    version: str
    notice: str
    default: str = Field(description="The index that is searched where a request names none.")
    photos: bool = Field(description="Whether photos and words are answered, not only vectors.")
    limits: Limits
    indexes: list[IndexInfo]


def index_info(index: SharedIndex) -> IndexInfo:
    """Return what an index is, and whether its folder still holds it."""
    searcher, source = index.answerer.searcher, index.answerer.source
    coarsest, replaced = 0, False
    if isinstance(searcher, PlanetSearcher):
        coarsest = searcher.planet.manifest.coarse_res
        try:
            manifest = (searcher.planet.folder / MANIFEST).read_bytes()
            replaced = hashlib.sha256(manifest).hexdigest() != searcher.index_digest
        except OSError:
            replaced = True
    return IndexInfo(
        name=index.name,
        candidates=source.candidates,
        digest=searcher.index_digest,
        model=source.model,
        dim=searcher.dim,
        resolutions=[coarsest, FINEST_ANSWER],
        calibrated=source.calibration is not None,
        replaced=replaced,
    )
