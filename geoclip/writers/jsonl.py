"""Answers as JSON Lines."""

import json
from typing import Any

from geoclip.answers.answer import Answer
from geoclip.answers.record import record
from geoclip.writers.formats import Writer


def json_text(value: Any) -> str:
    """Return one line of JSON in UTF-8; escaped to ASCII where a name holds bytes that are no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text


class JsonLinesWriter(Writer):
    """One JSON object a line, an answer each, as `answer.schema.json` describes it."""

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        self._stream.write(json_text(record(answer)) + "\n")
