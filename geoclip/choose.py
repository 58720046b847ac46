"""`geoclip.choose`: let a model of your own choose among the areas of an answer. Nothing here uses a network.

    def choose(photo, candidates):           # a Chooser: weights, one an area
        return [my_model(photo, each.name) for each in candidates]

    locator.locate("photo.jpg", choose=choose)

A model that runs elsewhere takes `candidates_record(answer)`: areas, names, shares, and a map of each.
"""

import base64
from typing import Any

from geoclip.answers.answer import Answer, Candidate
from geoclip.answers.choosing import Chooser

__all__ = ["Candidate", "Chooser", "candidates_record"]


def candidates_record(answer: Answer, count: int = 10, *, maps: bool = True) -> dict[str, Any]:
    """Return the areas of an answer as strings, numbers, lists and dicts, ready for JSON.

    Args:
        answer: with as many places as are wanted (`k=10`).
        count: how many areas at most.
        maps: whether each has a `map`: a PNG picture of 480 x 480 pixels as a data URI; needs the extra `map`.
    """
    found = []
    for candidate in answer.candidates(count):
        record: dict[str, Any] = candidate._asdict()
        if maps:
            from geoclip.map.picture import area_png

            picture = area_png(answer, candidate.rank)
            record["map"] = "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
        found.append(record)
    return {"query": answer.query, "candidates": found}
