"""JSON files from outside as checked values: whatever is wrong in one becomes one sentence."""

import stat
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from index.schema import first_problem

MAX_BYTES = 16 * 2**20


class Record(BaseModel):
    """A part of a file: its fields are what may stand there. Numbers are finite, nothing is converted or ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


Kind = TypeVar("Kind", bound=BaseModel)


def read_record(path: Path, kind: type[Kind], max_bytes: int = MAX_BYTES) -> Kind:
    """Return the contents of a JSON file.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is no ordinary file, too large, or not what `kind` asks for; the message is a part of a sentence.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not an ordinary file")
    if status.st_size > max_bytes:
        raise ValueError(f"it has {status.st_size / 2**20:.0f} MB; at most {max_bytes / 2**20:.0f} MB are read")
    return record_of(path.read_bytes(), kind)


def record_of(content: bytes | str, kind: type[Kind]) -> Kind:
    """Return what JSON text holds; raises ValueError as `read_record`."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from error
