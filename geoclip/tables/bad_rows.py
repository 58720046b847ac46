"""Rows that cannot be used: why, which they are, how many, and whether the others are taken."""

import csv
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from geoclip.errors import InputError
from geoclip.files import written_whole

LISTED_ROWS = 10_000
"""Bad rows that are kept to be written down; the others are only counted."""
_NAMED_ROWS = 5
_TEXT_LIMIT = 200
_log = logging.getLogger(__name__)


OnProblem = Callable[[str], object]
"""Told of what people should know, in a sentence."""


def logged(sentence: str) -> None:
    """Say a sentence in the log."""
    _log.warning("%s", sentence)


class Reason(StrEnum):
    """Why a row cannot be used. Of several, the first in this order is given.

    One rule for all tables: longitudes from -180 to 360 are taken, those from 180 on are wrapped to below 180; and
    exactly (0, 0) is not a place, because it is what devices write that do not know where they are.
    """

    RAGGED = "the row has another number of columns"
    QUOTE = "the row has a quote that is not closed"
    NOT_AN_OBJECT = "the line is not a JSON object"
    NO_PHOTO = "there is no photo"
    SAME_KEY = "another photo of the shard has its key"
    NO_LABEL = "the labels have no such photo"
    MISSING = "a coordinate is missing"
    NOT_A_NUMBER = "a coordinate is not a number"
    NOT_FINITE = "a coordinate is not finite"
    LATITUDE = "latitude is not within -90 to 90"
    LONGITUDE = "longitude is not within -180 to 360"
    NULL_ISLAND = "exactly 0, 0"
    NO_VECTOR = "there is no vector"
    VECTOR = "the vector is not finite"
    NO_LENGTH = "the vector has length 0"


class OnBadRows(StrEnum):
    """What is done about rows that cannot be used."""

    SKIP = "skip"
    """They are counted and left out; a file of nothing else is refused."""
    REFUSE = "refuse"
    """The file is refused, and all of them are named at once."""


class BadRow(NamedTuple):
    """A row that cannot be used, as it is written down."""

    row: int
    """From 1; the line of column names and empty lines do not count."""
    photo: str | None
    lat: object
    """As in the file."""
    lng: object
    reason: Reason


@dataclass
class BadRows:
    """What was read of a file so far, and the rows of it that cannot be used."""

    rows: int = 0
    """Read, bad ones included."""
    counts: Counter[Reason] = field(default_factory=Counter)
    listed: list[BadRow] = field(default_factory=list)
    """The first `LISTED_ROWS`."""
    exchanged: int = 0
    """Rows that would be places if latitude and longitude were exchanged."""

    def reject(self, row: int, reason: Reason, photo: str | None = "") -> None:
        """Note a bad row."""
        self.counts[reason] += 1
        self.listed.extend([BadRow(row, photo, None, None, reason)][: self.room])

    @property
    def room(self) -> int:
        """How many more rows can be listed."""
        return LISTED_ROWS - len(self.listed)

    @property
    def total(self) -> int:
        """How many rows are bad."""
        return self.counts.total()

    def sentence(self, path: Path | str) -> str:
        """Return what is wrong with a file, for people; empty where nothing is."""
        if not self.counts:
            return ""
        reasons = ", ".join(
            f"{self.counts[reason]:,} {reason}{self._rows_of(reason)}" for reason in Reason if self.counts[reason]
        )
        hint = " Latitude and longitude seem to be exchanged." if 2 * self.exchanged > self.total else ""
        return f"{path}: {self.total:,} of {self.rows:,} rows cannot be used: {reasons}.{hint}"

    def settle(
        self,
        path: Path | str,
        policy: OnBadRows = OnBadRows.SKIP,
        *,
        then: str = "They are left out.",
        on_problem: OnProblem = logged,
    ) -> None:
        """Do what the policy says about a file that has been read.

        Args:
            path: the file, for messages.
            policy: what is done about bad rows.
            then: ends the sentence about rows that are skipped.
            on_problem: told that sentence.

        Raises:
            InputError: it has no rows, none of them can be used, or some cannot and the policy is to refuse.
        """
        if not self.rows:
            raise InputError(f"{path} has no rows; give at least one.")
        if self.total == self.rows or (self.total and policy is OnBadRows.REFUSE):
            raise InputError(f"{self.sentence(path)} Correct these rows or leave them out.")
        if self.total:
            on_problem(f"{self.sentence(path)} {then}")

    def write(self, path: Path) -> None:
        """Write the listed rows as CSV, whole or not at all: row, photo, lat, lng, reason.

        Raises:
            InputError: the file cannot be written.
        """
        with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(BadRow._fields)
            writer.writerows([_text(value) for value in bad] for bad in sorted(self.listed, key=lambda bad: bad.row))

    def _rows_of(self, reason: Reason) -> str:
        rows = [bad for bad in self.listed if bad.reason is reason][:_NAMED_ROWS]
        if not rows:
            return ""
        if self.counts[reason] == 1:
            only = rows[0]
            values = "" if only.lat is only.lng is None else f": {_short(only.lat)}, {_short(only.lng)}"
            return f" (row {only.row}{values})"
        more = ", ..." if self.counts[reason] > len(rows) else ""
        return f" (rows {', '.join(str(bad.row) for bad in rows)}{more})"


def _short(value: object) -> str:
    return " ".join(_text(value).split())[:40]


def _text(value: object) -> str:
    return "" if value is None else str(value)[:_TEXT_LIMIT]
