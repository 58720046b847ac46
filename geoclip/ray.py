"""Locating in the data sets of Ray: a class for `map_batches`, for those who have their photos or vectors there.

    import ray
    from geoclip.ray import Locate

    answers = ray.data.read_parquet("photos/").map_batches(
        Locate,
        fn_constructor_kwargs={"index": "/shared/planet", "column": "image", "country": "FR"},
        batch_format="pyarrow", batch_size=64, num_cpus=4, concurrency=8,  # with GPUs: num_gpus=1
    )
    answers.write_parquet("answers/")

Ray itself is not needed to import this: `pip install 'geoclip-planet[ray]'` brings it. Large jobs without a data set
are run by `geoclip locate --parts DIR --on ray`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from geoclip.answers.answer import Answer
from geoclip.errors import InputError
from geoclip.locator import Locator
from geoclip.photos.decode import Photo
from geoclip.remote.photo import is_address, photo_at
from geoclip.writers.parquet import answer_table

NEEDS = "needs a column of photos (their bytes, paths or addresses) or of vectors"


class Locate:
    """Answers for the rows of a batch. Each actor makes one, which loads the model and maps the index.

    Args:
        index: as of `Locator.open`: a folder that all machines see, `planet` or `lite`, or `none`.
        column: of photos, as bytes, paths or addresses (https, s3, gs, hf); or of vectors, lists of numbers.
        keep: columns that stand beside the answers.
        workers: processes of each actor that decode photos, each with bounded time and memory; 0 decodes in the actor.
        opened: a locator in place of `index`, `device` and so on: for batches in this process.
        options: of `Locator.open` (`calibration`, `device`, `clip_path`, ...) and of `SearchOptions` (`k`, `country`,
            ...).

    Raises:
        InputError: an option is unknown or not allowed.
        GeoclipError: the index or the weights cannot be had.
    """

    def __init__(
        self,
        index: str | Path | None = None,
        *,
        column: str,
        keep: tuple[str, ...] = (),
        workers: int = 1,
        opened: Locator | None = None,
        **options: Any,
    ) -> None:
        self._column, self._keep, self._workers = column, tuple(keep), workers
        opening = {name: options.pop(name) for name in OPENING if name in options}
        self.locator = opened or Locator.open(index, **opening)
        self._asked = self.locator.asked(**options)

    def __call__(self, batch: "pa.Table | Mapping[str, Any]") -> pa.Table:
        """Return the answers of a batch: a row an input, in order, with the columns that Parquet files of answers have.

        What cannot be read is a row with a reason in the column `error`.

        Args:
            batch: with `batch_format="pyarrow"` a table; with "numpy" a mapping of arrays, of vectors (N, dim).

        Raises:
            InputError: there is no such column, or it holds something else.
        """
        table = batch if isinstance(batch, pa.Table) else None
        names = table.column_names if table is not None else list(batch)
        for name in (self._column, *self._keep):
            if name not in names:
                raise InputError(f"The batch has the columns {', '.join(names)}, and no {name!r}.")
        values = batch[self._column]
        answers = answer_table(self._answers(values.to_pylist() if table is not None else list(values)))
        for name in self._keep:
            kept = batch[name] if table is not None else pa.array(list(batch[name]))
            answers = answers.append_column(name, kept) if name not in answers.column_names else answers
        return answers

    def _answers(self, values: list[Any]) -> list[Answer]:
        kinds = {self._kind(value) for value in values if value is not None}
        if len(kinds) > 1:
            raise InputError(f"The column {self._column!r} holds {' and '.join(sorted(kinds))}; it {NEEDS[6:]}.")
        if kinds == {"vectors"}:
            return self._of_vectors(values)
        return self._of_photos(values)

    def _kind(self, value: Any) -> str:
        if isinstance(value, bytes | str):
            return type(value).__name__
        if isinstance(value, np.ndarray | list | tuple) and np.asarray(value).dtype.kind == "f":
            return "vectors"
        raise InputError(f"The column {self._column!r} holds {type(value).__name__}; geoclip.ray.Locate {NEEDS}.")

    def _of_photos(self, values: list[Any]) -> list[Answer]:
        there = [(at, value) for at, value in enumerate(values) if value is not None]
        photos: list[Photo] = [
            photo_at(value) if isinstance(value, str) and is_address(value) else value for _, value in there
        ]
        answers = [Answer(f"photo {at}", error="The row has no photo.") for at in range(len(values))]
        stream = self.locator.stream(photos, workers=self._workers, asked=self._asked)
        for (at, value), answer in zip(there, stream, strict=True):
            answers[at] = answer if isinstance(value, str) else replace(answer, query=f"photo {at}")
        return answers

    def _of_vectors(self, values: list[Any]) -> list[Answer]:
        dim = self.locator.answerer.searcher.dim
        vectors = np.zeros((len(values), dim), np.float32)
        answers = [Answer(f"{at}", error="The row has no vector.") for at in range(len(values))]
        for at, value in enumerate(values):
            if value is not None and np.shape(value) != (dim,):
                raise InputError(f"A vector has the shape {np.shape(value)}; {dim} numbers are needed.")
            vectors[at] = 0 if value is None else value
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        good = np.flatnonzero(np.isfinite(lengths) & (lengths > 0))
        if len(good):
            unit = (vectors[good] / lengths[good, None]).astype(np.float32)
            found = self.locator.answerer.answers([f"{at}" for at in good.tolist()], unit, self._asked)
            for at, answer in zip(good.tolist(), found, strict=True):
                answers[at] = answer
        return answers


OPENING = ("candidates", "calibration", "engine", "device", "precision", "clip_path", "limits", "release")
"""Options of `Locator.open`; all others are of what is asked."""
