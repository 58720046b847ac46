"""Names, numbers and answers in words, as terminals, maps and files show them."""

import math

from geoclip.answers.answer import Answer, Prediction

_COUNTRIES = 3


def headline(answer: Answer) -> str:
    """Return where and how sure in one line, or why nothing is known; what was not computed is left out."""
    if not answer.predictions:
        return answer.error or "No place was found."
    radii = ((50, answer.radius_50_km), (90, answer.radius_90_km))
    within = [f"{share} % within {distance(km)}" for share, km in radii if math.isfinite(km)]
    countries = [f"{area.name} {percent(area.probability)}" for area in answer.countries[:_COUNTRIES]]
    parts = (title(answer.best), ", ".join(within), ", ".join(countries))
    return "; ".join(part for part in parts if part)


def notes(answer: Answer) -> list[str]:
    """Return what a reader should know beside the places: sentences, the gravest first."""
    if not answer.predictions:
        return []
    result = []
    if answer.localizable is False:
        result.append(
            f"This photo says little about where it was taken: entropy {answer.entropy_bits:.1f} bits, "
            f"threshold {answer.threshold_bits:.1f}."
        )
    if answer.gps is not None:
        where = f"{answer.gps.lat:.5f}, {answer.gps.lng:.5f}"
        datum = f" (datum {answer.gps.datum})" if answer.gps.datum else ""
        result.append(f"Its EXIF says {where}{datum}, {distance(answer.gps.distance_km)} from the best place.")
    if not answer.searched.calibrated:
        result.append("Probabilities are the model's own, uncalibrated.")
    return result


def searched(answer: Answer) -> str:
    """Return what was searched, for the one who asked: it names the index by its path, which a file is not to tell."""
    what = f"the index {one_line(answer.searched.index)}" if answer.searched.index else "a gallery"
    where = f", {answer.searched.constraint}" if answer.searched.constraint else ""
    return f"Searched {what}{one_line(where)}."


def title(prediction: Prediction) -> str:
    """Return a prediction's place by name, or by coordinates where it has none."""
    return str(prediction.name or "") or f"{prediction.lat:.5f}, {prediction.lng:.5f}"


def percent(share: float) -> str:
    """Return a probability in percent: whole, or with one decimal below one percent."""
    if share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.00995 else f"{100 * share:.0f} %"


def distance(km: float) -> str:
    """Return a distance as people say it: metres below one kilometre, at most three digits that count."""
    if km < 0.9995:
        return f"{float(f'{1000 * km:.2g}'):.0f} m"
    return f"{km:.1f} km" if km < 9.95 else f"{float(f'{km:.3g}'):,.0f} km"


def one_line(name: str) -> str:
    """Return a file name as a terminal can show it: bytes that are no UTF-8 and control characters escaped."""
    text = utf8(name)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def utf8(name: str) -> str:
    """Return a file name as text that every format can hold: bytes that are no UTF-8 escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
