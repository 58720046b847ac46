"""`--map`: answers collected for a map, drawn when all are there."""

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from geoclip.cli.terminal import say
from geoclip.errors import InputError
from geoclip.extras import need
from geoclip.files import check_output, is_file

if TYPE_CHECKING:
    from geoclip.answers.answer import Answer
    from geoclip.options import MachineOptions, PhotoOptions

MOST = 100
"""Answers on one map."""


class MapFile:
    """Collects answers for a map.

    Args:
        path: .html or .png; None draws nothing.
        photo: how photos are read, for thumbnails.
        machine: decodes them.

    Raises:
        InputError: another suffix, or a folder; or a package is missing.
    """

    def __init__(self, path: Path | None, photo: "PhotoOptions", machine: "MachineOptions") -> None:
        if path is not None:
            if path.suffix.lower() not in (".html", ".png"):
                raise InputError(f"The map {path} cannot be drawn; name it .html or .png.")
            check_output(path, overwrite=True)
            if path.suffix.lower() == ".png":
                need("map", "A picture of a map")
        self._path = path
        self._limits, self._workers = replace(photo, crops=1).limits(), machine.processes
        self._answers: list[Answer] = []
        self._left_out = 0

    def add(self, answer: "Answer") -> None:
        """Take an answer in, if there is a map and room on it."""
        if self._path is None:
            return
        if len(self._answers) < MOST:
            self._answers.append(answer)
        else:
            self._left_out += 1

    def finish(self) -> None:
        """Draw, if there is something to draw."""
        if self._path is None or not self._answers:
            return
        thumbnails = self._thumbnails([answer.query for answer in self._answers])
        shown = self._answers if self._path.suffix.lower() == ".html" else self._answers[:1]
        if self._path.suffix.lower() == ".html":
            from geoclip.map import write_map

            write_map(shown, self._path, thumbnails=thumbnails)
        else:
            from geoclip.map.picture import write_png

            write_png(shown[0], self._path, thumbnail=thumbnails.get(shown[0].query))
        if left_out := len(self._answers) - len(shown) + self._left_out:
            say(f"{self._path} shows the first {len(shown)}; {left_out} more answers are not on it.")

    def _thumbnails(self, names: list[str]) -> dict[str, bytes]:
        """Return what CLIP saw of the photos among the queries, as JPEG: decoded in workers, as always."""
        from PIL import Image

        from geoclip.photos.decode import SUFFIXES
        from geoclip.photos.pool import decode_all

        photos = [name for name in names if Path(name).suffix.lower() in SUFFIXES and is_file(name)]
        thumbnails = {}
        for decoded in decode_all(photos, self._limits, workers=self._workers):
            if decoded.pixels is not None:
                file = io.BytesIO()
                side = self._limits.size
                Image.frombytes("RGB", (side, side), decoded.pixels).save(file, "JPEG", quality=80)
                thumbnails[decoded.name] = file.getvalue()
        return thumbnails
