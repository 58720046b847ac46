"""Random queries, constraints and options on a small planet: no answer contradicts itself.

GEOCLIP_RANDOM_ANSWERS sets how many there are; 1000 take some minutes.
"""

import os
import re
from collections import defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest

from geoclip.answers.answer import Answer
from geoclip.answers.answerer import Answerer
from geoclip.answers.figures import distance, percent
from geoclip.answers.place_names import shared_place_names
from geoclip.answers.searchers import PlanetSearcher
from geoclip.answers.source import SearchSource
from geoclip.distance import haversine_km
from geoclip.options import Candidates, SearchOptions
from index.grid.cells import centres, names, parents, resolutions
from index.grid.region import Region
from index.search.planet import Planet
from tests.helpers.synthetic import encode, queries, small_index

BORDER = Region.disk(46.05, 8.9, 60.0)
"""Switzerland and Italy."""
COUNT = int(os.environ.get("GEOCLIP_RANDOM_ANSWERS", "24"))
CONSTRAINTS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"country": "CH"},
    {"not_country": "CH"},
    {"near": "46.05,8.9,20"},
    {"bbox": "45.9,8.6,46.1,9.2", "not_country": "IT"},
    {"not_near": "46.0,8.95,25"},
)
POINTS = (None, None, "all", "cell", "25", "200", "geoscore", "1")


@cache
def answerer() -> Answerer:
    planet = Planet.open(small_index(BORDER), encode)
    return Answerer(PlanetSearcher(planet), encode, SearchSource("synthetic", Candidates.PLANET))


def random_options(rng: np.random.Generator) -> SearchOptions:
    def one(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    apart_km = one(None, None, None, 0.0, 10.0, 40.0)
    return SearchOptions().changed(
        k=one(1, 3, 5, 12),
        point=one(None, "cell") if apart_km == 0 else one(*POINTS),
        apart_km=apart_km,
        resolution=one(7, 8, 9),
        effort=one("fast", "default", "thorough"),
        prior_weight=one(0.0, 0.25, 0.5, 1.0),
        gallery_places=one(True, False),
        **one(*CONSTRAINTS),
    )


SEEDS = [*range(max(COUNT // 6, 1)), *([98] if COUNT <= 6 * 98 else [])]
"""98: a place on the border of Switzerland that rounding moved to Italy."""


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_agree_with_themselves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = random_options(rng)
    places = centres(rng.choice(BORDER.cells(8), 6))
    vectors = queries(places, float(rng.choice([0.3, 0.9, 2.0, 5.0])), seed)
    for answer in answerer().answers([str(row) for row in range(6)], vectors, answerer().asked(options)):
        try:
            check(answer, options)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {options}: {answer.verdict}\n{answer.predictions}") from error


def check(answer: Answer, options: SearchOptions) -> None:
    """Whether an answer's record contradicts itself or what was asked."""
    record = answer.to_dict()
    predictions = record["predictions"]
    assert 1 <= len(predictions) <= options.k
    region, limits = options.constraint.region, options.constraint.countries
    where = np.array([(p["lat"], p["lng"]) for p in predictions])
    assert region is None or region.holds(where).all()
    cells = np.array([int(p["cell"], 16) for p in predictions], np.uint64)
    assert (resolutions(cells) == options.resolution).all()
    shares = [p["share"] for p in predictions]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-5
    assert record["radius_50_km"] <= record["radius_90_km"]
    if record["area_km"] is not None:
        assert all(p["radius_km"] <= 2 * record["area_km"] for p in predictions)
        away = haversine_km(where[:, None], where[None])
        assert len(np.unique(away.round(6), axis=0)) == len(where)
    for area in (*record["countries"], *record["regions"], *record["cities"]):
        assert limits.allow(area["code"]), area
    for prediction in predictions:
        assert limits.allow(prediction["place"]["code"])
    first = record["countries"][0]
    if predictions[0]["place"]["code"] != first["code"]:
        assert f"though {first['name']} as a whole is more probable" in record["verdict"]
    if record["searched"]["constraint"]:
        assert f"only places {record['searched']['constraint']} were looked at" in record["verdict"]
    check_sums(record)
    check_numbers(record)


def check_sums(record: dict[str, Any]) -> None:
    """Parts are never more probable than the whole."""
    in_country: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for level, name in enumerate(("regions", "cities")):
        for area in record[name]:
            in_country[area["code"]][level] += area["probability"]
    for country in record["countries"]:
        assert max(in_country[country["code"]]) <= country["probability"] + 1e-5
    in_region: dict[tuple[str, str], float] = defaultdict(float)
    for city in record["cities"]:
        in_region[city["within"], city["code"]] += city["probability"]
    for region in record["regions"]:
        assert in_region[f"{region['name']}, {region['within']}", region["code"]] <= region["probability"] + 1e-5
    assert 0.97 <= sum(country["probability"] for country in record["countries"]) <= 1 + 1e-5
    assert record["continents"][0]["probability"] >= record["countries"][0]["probability"] - 1e-5
    listed = {cell["cell"]: cell["probability"] for cell in record["cells"]}
    children: dict[str, float] = defaultdict(float)
    for cell, probability in listed.items():
        number = np.array([int(cell, 16)], np.uint64)
        if (res := int(resolutions(number)[0])) > 0:
            children[names(parents(number, res - 1))[0]] += probability
    for parent, total in children.items():
        assert total <= listed[parent] + 1e-5


def check_numbers(record: dict[str, Any]) -> None:
    """The numbers in the sentence are those of the record."""
    areas = [area for name in ("continents", "countries", "regions", "cities") for area in record[name]]
    said = re.findall(r"([^,;(]+?) \(([^)]*%)\)", record["verdict"])
    assert said
    for words, share in said:
        assert any(
            words.casefold().endswith(area["name"].casefold()) and percent(area["probability"]) == share
            for area in areas
        ), (words, share)
    assert f"within {distance(record['radius_50_km'])} of" in record["verdict"]
    assert len(re.findall(r"%", record["verdict"])) == len(said)


def test_all_regions_and_cities_together_are_their_country() -> None:
    """Of the whole lists, before light areas are left out; what has no name of its own is the rest."""
    rng = np.random.default_rng(0)
    vectors = queries(centres(rng.choice(BORDER.cells(8), 4)), 2.0, 1)
    for posterior in answerer().found(vectors, answerer().asked()).posteriors:
        joined = posterior.condensed(1e-3)
        shares = shared_place_names().shares(joined.cells, joined.mass, least=0.0, most=10**6)
        assert sum(area.probability for area in shares.countries) == pytest.approx(1)
        assert sum(area.probability for area in shares.continents) == pytest.approx(1)
        for country in shares.countries:
            regions = [area for area in shares.regions if area.code == country.code]
            assert sum(area.probability for area in regions) == pytest.approx(country.probability)
            for region in regions:
                within = f"{region.name}, {region.within}"
                cities = [a.probability for a in shares.cities if a.within == within and a.code == country.code]
                assert sum(cities) == pytest.approx(region.probability)
