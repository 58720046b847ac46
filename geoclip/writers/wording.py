"""Names, numbers and answers in words, as terminals, maps and files show them."""

import math

from geoclip.answers.answer import Answer, Prediction
from geoclip.answers.figures import coordinates, distance, percent


def headline(answer: Answer) -> str:
    """Return the verdict, or why nothing is known; without a verdict the best place's name."""
    if not answer.predictions:
        return answer.error or "No place was found."
    return answer.verdict or f"{title(answer.best)}."


def notes(answer: Answer) -> list[str]:
    """Return what a reader should know beside the places: sentences, the gravest first."""
    if not answer.predictions:
        return []
    result = []
    result += [
        f"{one_line(each.query)} does not seem to belong: by itself it points to {each.points_to or 'another place'}; "
        f"{percent(each.share)} of its probability lies where the others do."
        for each in answer.outsiders
    ]
    if answer.gps is not None:
        where = f"{answer.gps.lat:.5f}, {answer.gps.lng:.5f}"
        datum = f" (datum {answer.gps.datum})" if answer.gps.datum else ""
        result.append(f"Its EXIF says {where}{datum}, {distance(answer.gps.distance_km)} from the best place.")
    if (promise := answer.promise) is not None:
        between = f"between {percent(promise.low_90)} and {percent(promise.high_90)}"
        result.append(
            f"Calibrated: nine tenths of photos like the {promise.photos} that were compared lie inside the 90 % "
            f"circle (from so few, {between})."
        )
    elif not answer.searched.calibrated:
        result.append("Probabilities are the model's own, uncalibrated.")
    return result


def shares(answer: Answer) -> str:
    """Return what the shares of the predictions are of."""
    if math.isnan(answer.area_km):
        return "Shares are of each place alone."
    return (
        f"A share is the probability within {distance(answer.area_km)} of a place, without what rows above it hold; "
        "half of it lies within the radius."
    )


def share(prediction: Prediction) -> str:
    """Return the probability of a prediction's area, or of its cell where it has no area."""
    return percent(prediction.probability if math.isnan(prediction.share) else prediction.share)


def title(prediction: Prediction) -> str:
    """Return a prediction's place by name, or by coordinates where it has none."""
    return str(prediction.name or "") or coordinates(prediction.lat, prediction.lng, prediction.radius_km)


def one_line(name: str) -> str:
    """Return a file name as a terminal can show it: bytes that are no UTF-8 and control characters escaped."""
    text = utf8(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def utf8(name: str) -> str:
    """Return a file name as text that every format can hold: bytes that are no UTF-8 escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
