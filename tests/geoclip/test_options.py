"""Options stated once: what the library takes, the command line's flags, their defaults and limits."""

import inspect
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from geoclip.answers.answer import Searched
from geoclip.answers.answering import AnswerOptions
from geoclip.cli.app import app
from geoclip.cli.groups import with_groups
from geoclip.errors import InputError
from geoclip.option_groups import Help, Options, Panel, option_fields
from geoclip.options import Candidates, IndexOptions, MachineOptions, PhotoOptions, SearchOptions
from geoclip.photos.decode import DecodeLimits
from index.search.efforts import EffortName
from index.search.question import Question
from tests.helpers.commands import geoclip


@dataclass(frozen=True)
class Fruit(Options):
    """A group for these tests."""

    kind: Annotated[EffortName, Help("Which.")] = EffortName.FAST
    count: Annotated[int, Help("How many.", Panel.SEARCH, ("--count", "-n"), least=1, most=9)] = 3
    names: Annotated[tuple[str, ...], Help("What they are called.", metavar="NAME")] = ()
    where: Annotated[Path | None, Help("Where they lie.")] = None
    ripe: Annotated[bool, Help("Only ripe ones.")] = True
    weight: Annotated[float | None, Help("Of all.", least=0.05, most=1_000_000)] = None
    hidden: int = 7


def test_values_are_brought_to_their_types() -> None:
    given = Fruit().changed(kind="thorough", names="pear", where="basket")
    assert given == Fruit(EffortName.THOROUGH, 3, ("pear",), Path("basket"))
    assert Fruit().changed(names=["a", "b"]).names == ("a", "b")
    assert Fruit().changed(names=(48.5, 2, 50)).names == ("48.5,2,50",)  # numbers are one value
    assert list(option_fields(Fruit)) == ["kind", "count", "names", "where", "ripe", "weight"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "fastest"}, "'fastest' is not allowed for --kind; choose fast, default, thorough, exhaustive."),
        ({"count": 0}, "0 is not allowed for --count; choose 1 to 9."),
        ({"count": float("nan")}, "nan is not allowed for --count; choose 1 to 9."),
        ({"weight": 0.01}, "0.01 is not allowed for --weight; choose 0.05 to 1,000,000."),
        ({"cuont": 2}, "There is no option 'cuont'; did you mean count?"),
        ({"xylophone": 2}, "There is no option 'xylophone'; choose from kind, count, names, where, ripe, weight."),
        ({"hidden": 8}, "There is no option 'hidden'"),
    ],
)
def test_what_is_not_allowed_is_said_in_a_sentence(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(complaint)}"):
        Fruit().changed(**change)


def test_a_command_takes_groups_and_typer_sees_flags() -> None:
    """Values as typed arrive as one checked object; what is not given has the group's own default."""
    taken: list[Fruit] = []
    made = typer.Typer()

    @made.command()
    @with_groups
    def pick(fruit: Fruit, some: Annotated[PhotoOptions, "crops"], word: str = "") -> None:
        assert some == PhotoOptions(crops=some.crops)
        taken.append(fruit)

    run = CliRunner().invoke
    assert run(made, []).exit_code == 0
    arguments = ["--kind", "default", "-n", "9", "--names", "a", "--names", "b", "--where", "x", "--no-ripe"]
    assert run(made, [*arguments, "--crops", "10"]).exit_code == 0
    assert taken == [Fruit(), Fruit(EffortName.DEFAULT, 9, ("a", "b"), Path("x"), False)]
    for wrong in (["--count", "10"], ["--kind", "worst"], ["--max-megapixels", "1"], ["--hidden", "1"]):
        assert run(made, wrong).exit_code != 0
    assert len(taken) == 2


def test_another_default_changes_the_flag_and_its_help() -> None:
    @dataclass(frozen=True)
    class Changed(Options):
        point: Annotated[str, Help("Where.")] = "25"

    def command(group: Changed) -> None: ...

    flag = inspect.signature(with_groups(command)).parameters["point"]
    assert flag.default == Changed.point == "25"


def test_the_library_has_one_set_of_defaults() -> None:
    """What the source decides has none on the command line: a planet's best point is another than a gallery's."""
    assert SearchOptions.point is None
    assert AnswerOptions.point == Searched(Candidates.PLANET).point == "all"
    assert Question.resolution == SearchOptions.resolution
    limits = PhotoOptions().limits()
    assert limits == DecodeLimits()
    shown = geoclip("locate", "--help").stdout
    for name, field in option_fields(SearchOptions).items():
        assert field.help.text.split()[0] in shown, name
    assert f"[default: {SearchOptions.prior_weight}]" in shown


def test_only_a_planet_has_some_options() -> None:
    SearchOptions(resolution=7).check(Candidates.PLANET)
    SearchOptions(prior_weight=0.0, point="25").check(Candidates.GALLERY)
    for change in ({"effort": "fast"}, {"resolution": 7}, {"mass_resolution": 3}, {"prior_weight": 1.0}):
        with pytest.raises(
            InputError, match=rf"Only a search of the planet has a choice of {next(iter(change)).replace('_', ' ')}"
        ):
            SearchOptions().changed(**change).check(Candidates.GALLERY)


def test_help_is_in_groups_with_what_matters_first() -> None:
    """The ten options that most people need stand before the groups."""
    shown = geoclip("locate", "--help").stdout
    headings = re.findall(r"─ (\w[\w ]*) ─", shown)
    panels = [Panel.INPUT, Panel.OUTPUT, Panel.WHERE, Panel.SEARCH, Panel.MODEL, Panel.MACHINE]
    assert headings == ["Arguments", "Options", *panels]
    first = shown[shown.index("─ Options") : shown.index("─ Input")]
    flags = set(re.findall(r"(?<= )--[a-z-]+", first)) - {"--help"}
    assert flags == {
        *("--text", "--output", "--format", "--map", "--index", "--top"),
        *("--country", "--near", "--effort", "--crops"),
    }


def test_groups_have_no_name_twice() -> None:
    """All of them may stand in one command."""
    names = [
        name for group in (SearchOptions, IndexOptions, PhotoOptions, MachineOptions) for name in option_fields(group)
    ]
    assert len(names) == len(set(names))
    assert all(field.name in option_fields(SearchOptions) for field in fields(SearchOptions))


def test_every_command_s_flags_are_registered() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        for parameter in inspect.signature(command.callback).parameters.values():
            assert not (isinstance(parameter.annotation, type) and issubclass(parameter.annotation, Options))
