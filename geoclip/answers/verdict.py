"""The verdict: an answer in one sentence, at the scale that its distribution supports."""

import math

from geoclip.answers.answer import Answer, Area
from geoclip.answers.figures import coordinates, distance, listed, percent

KNOWN = 0.5
"""From this share on, a country, region or city counts as known."""
TOGETHER, AT_MOST = 0.6, 3
"""Where no country is known, so much is held by the countries, or else continents, that are named; and their number."""


def verdict(answer: Answer) -> str:
    """Return what an answer says in one sentence; every number in it is one of the answer's."""
    parts = [_where(answer), _within(answer)]
    if (best := answer.best.name) and answer.countries and best.code != answer.countries[0].code:
        first = answer.countries[0].name
        parts.append(f"the best single point is in {best.country}, though {first} as a whole is more probable")
    if answer.searched.constraint:
        parts.append(f"only places {answer.searched.constraint} were looked at")
    sentence = "; ".join(part for part in parts if part)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _where(answer: Answer) -> str:
    """Return the country, region and town as far as they are known, or what it could be."""
    says_little = "this photo says little: " if answer.localizable is False else ""
    if known := [area for area in answer.countries[:1] if area.probability >= KNOWN]:
        known += [area for area in answer.regions[:1] if area.probability >= KNOWN]
        known += [area for area in answer.cities[:1] if len(known) == 2 and area.probability >= KNOWN]
        unknown = ("the region", "the town", "")[len(known) - 1]
        sure = ", ".join(_share(area) for area in _distinct(known))
        return f"{says_little}{sure}; {unknown} is not known" if unknown else f"{says_little}{sure}"
    for areas, unknown in ((answer.countries, ""), (answer.continents, "; the country is not known")):
        if some := _together(areas):
            return f"{says_little}{listed([_share(area) for area in some])}{unknown}"
    most = [_share(area) for area in answer.continents[:2]]
    return f"{says_little}it could be anywhere; first come {listed(most, 'and')}" if most else ""


def _within(answer: Answer) -> str:
    """Return how near to the best point it is with even odds."""
    if not math.isfinite(answer.radius_50_km):
        return ""
    best = answer.best
    place = (best.name.city or best.name.region) if best.name else ""
    place = place or coordinates(best.lat, best.lng, answer.radius_50_km)
    return f"within {distance(float(f'{answer.radius_50_km:.3g}'))} of {place} with even odds"  # as it is recorded


def _together(areas: tuple[Area, ...]) -> list[Area]:
    """Return the first areas that together are probable enough; none where that takes too many."""
    held, some = 0.0, list[Area]()
    for area in areas[:AT_MOST]:
        some.append(area)
        held += area.probability
        if held >= TOGETHER:
            return some
    return []


def _distinct(areas: list[Area]) -> list[Area]:
    """Leave out a region or city that is called like what it lies in."""
    return [area for at, area in enumerate(areas) if area.name not in [other.name for other in areas[:at]]]


def _share(area: Area) -> str:
    return f"{area.name} ({percent(float(f'{area.probability:.6g}'))})"
