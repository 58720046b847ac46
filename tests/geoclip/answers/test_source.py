"""Which index or gallery is meant, and what may be asked of it."""

import shutil
from pathlib import Path

import pytest

from geoclip.answers.answering import AnswerOptions
from geoclip.answers.source import Asked, SearchSource, index_folder
from geoclip.errors import InputError
from geoclip.options import Candidates, SearchOptions
from index.grid.constraint import Constraint
from index.search.question import Question
from tests.helpers.calibrations import a_calibration
from tests.helpers.synthetic import ALPS, small_index

MODEL = "synthetic"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and an empty folder to work in."""
    monkeypatch.setenv("GEOCLIP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


def built(folder: Path) -> Path:
    return Path(shutil.copytree(small_index(ALPS), folder))


def test_the_finest_index_in_the_cache_is_searched(cache: Path) -> None:
    assert SearchSource.find(MODEL) == SearchSource(MODEL, Candidates.GALLERY)
    lite = built(cache / "lite")
    assert SearchSource.find(MODEL) == SearchSource(MODEL, Candidates.PLANET, lite)
    planet = built(cache / "planet")
    assert SearchSource.find(MODEL) == SearchSource(MODEL, Candidates.PLANET, planet)
    assert SearchSource.find(MODEL, "lite").index == lite
    assert SearchSource.find("another model").candidates is Candidates.GALLERY  # theirs is of no use to it


def test_the_gallery_is_searched_where_it_is_asked_for(cache: Path) -> None:
    lite = built(cache / "lite")
    for source in (SearchSource.find(MODEL, "none"), SearchSource.find(MODEL, candidates="gallery")):
        assert source == SearchSource(MODEL, Candidates.GALLERY)
    own = SearchSource.find(MODEL, lite, Candidates.GALLERY)
    assert (own.candidates, own.index) == (Candidates.GALLERY, lite)


def test_a_folder_goes_before_a_name_in_the_cache(cache: Path) -> None:
    built(cache / "lite")
    assert index_folder("lite") == cache / "lite"
    here = built(Path("lite"))
    assert index_folder("lite") == here
    assert index_folder("elsewhere") == Path("elsewhere")  # what opens it says what is wrong


def test_what_cannot_be_meant_is_refused(cache: Path) -> None:
    with pytest.raises(
        InputError, match=r"no index planet, neither here nor in .*cache; .*`geoclip build --preset planet`"
    ):
        SearchSource.find(MODEL, "planet")
    with pytest.raises(InputError, match="candidates are planet, and there is no index"):
        SearchSource.find(MODEL, candidates="planet")
    with pytest.raises(InputError, match="candidates are 'moon'; choose planet, gallery"):
        SearchSource.find(MODEL, candidates="moon")
    broken = built(cache / "planet")
    (broken / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest\.json is damaged.* It would be searched by default; name another"):
        SearchSource.find(MODEL)


def test_a_calibration_of_something_else_is_refused(cache: Path) -> None:
    lite, path = built(cache / "lite"), cache / "c.json"
    a_calibration(MODEL).save(path)
    assert SearchSource.find(MODEL, calibration=path).calibration == a_calibration(MODEL)
    with pytest.raises(InputError, match="the candidates planet, this search has gallery"):
        SearchSource.find(MODEL, "none", calibration=path)
    with pytest.raises(InputError, match="the model synthetic"):
        SearchSource.find("m" * 64, lite, calibration=path)


def test_what_options_ask_of_a_planet_and_of_a_gallery() -> None:
    planet, gallery = (SearchSource(MODEL, candidates) for candidates in Candidates)
    everywhere = Constraint()
    assert planet.asked(SearchOptions()) == Asked(
        Question(k=5, prior_weight=0.5, constraint=everywhere), AnswerOptions("all", None)
    )
    assert gallery.asked(SearchOptions()) == Asked(
        Question(k=5, prior_weight=0.0, constraint=everywhere), AnswerOptions("cell", 0.0)
    )
    given = SearchOptions().changed(near="1,2,3", k=2, apart_km=7.0, point="geoscore", gallery_places=False)
    for source in (planet, gallery):
        question, how = source.asked(given)
        assert question.constraint is given.constraint  # with its words
        assert (question.k, question.gallery, question.region) == (2, False, given.constraint.region)
        assert how == AnswerOptions("geoscore", 7.0)
    fitted = SearchSource(MODEL, Candidates.PLANET, None, a_calibration(MODEL))
    assert fitted.asked(SearchOptions()).question.temperature == 2.5
    for wrong, complaint in (
        (SearchOptions(prior_weight=0.2), "exclude each other"),
        (SearchOptions(point="25", apart_km=0.0), "--apart 0 lists the best-ranked places one by one, and --point 25"),
        (SearchOptions(point="there"), "The point is 'there'; choose all, cell, geoscore"),
        (SearchOptions(resolution=5, mass_resolution=6), "choose 0 to 5"),
        (SearchOptions(country=("Atlantis",)), "--country: There is no country"),
    ):
        with pytest.raises(InputError, match=complaint):
            fitted.asked(wrong)
