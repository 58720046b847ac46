"""Answers as JSON Lines."""

from geoclip.answers.answer import Answer
from geoclip.writers.formats import Writer
from geoclip.writers.record import json_text, record


class JsonLinesWriter(Writer):
    """One JSON object a line, an answer each, as `answer.schema.json` describes it."""

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        self._stream.write(json_text(record(answer)) + "\n")
