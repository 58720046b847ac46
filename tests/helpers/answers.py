"""Made-up answers for the writers: names that are hard to write, answers with nothing and with everything."""

from geoclip.answers.answer import Answer, Area, CellProbability, PlaceName, Prediction, RecordedGps, Searched
from geoclip.options import Candidates

NAMES = [
    "plain.jpg",
    'with "quotes", commas.jpg',
    "two\nlines.jpg",
    "東京.jpg",
    "bytes-\udcff.jpg",
    "semi;colon.jpg",
    "<b>&amp;]]>\x07\x1b.jpg",
]
CELL = "8928308280fffff"
LYON = PlaceName("Lyon", "Auvergne-Rhône-Alpes", "France", "FR")


def bare(name: str, k: int = 2) -> Answer:
    """An answer with nothing but places."""
    return Answer(name, tuple(Prediction(10.5 + i, -170.25 - i, 0.5 / (i + 1), 0.3 - i / 10, CELL) for i in range(k)))


def full(name: str) -> Answer:
    """An answer in which everything is known."""
    return Answer(
        name,
        (
            Prediction(45.76404321, 4.83565678, 0.312345678, 0.27412345678, CELL, 0.52, LYON, 0.52, 12.3456),
            Prediction(
                43.2965,
                5.36978,
                1.23456789e-7,
                0.2511,
                CELL,
                0.0312,
                PlaceName("Marseille", "", "France", "FR"),
                0.03,
                9.0,
            ),
            Prediction(-17.5, -179.9, 1e-9, 0.2, CELL, 0.0001, None, 0.0001, 300.0),
        ),
        area_km=25.0,
        verdict="France (81 %), Auvergne-Rhône-Alpes (60 %).",
        radius_50_km=12.3456,
        radius_90_km=1343.9,
        continents=(Area("Europe", "", "", 0.88),),
        countries=(Area("France", "", "FR", 0.81), Area("Italy", "", "IT", 0.07)),
        regions=(Area("Auvergne-Rhône-Alpes", "France", "FR", 0.6),),
        cities=(Area('"Lyon"\n', "Auvergne-Rhône-Alpes, France", "FR", 0.5123456789),),
        cells=(CellProbability("801ffffffffffff", 0.95), CellProbability("811fbffffffffff", 0.9)),
        entropy_bits=9.123456,
        localizable=False,
        threshold_bits=7.0,
        estimated=0.0123456789,
        gps=RecordedGps(45.7000001, 4.8, 7.654321),
        searched=Searched(Candidates.PLANET, "planet-\udcff/", "abc", "FR", 9, "default", 0.5, 1.25, "mode", True),
    )
