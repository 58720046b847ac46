"""Options of jobs in parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from geoclip.errors import InputError
from geoclip.extras import need
from geoclip.on_ray import Runner
from geoclip.option_groups import Help, Options, Panel
from index.search.engine import EngineName


@dataclass(frozen=True)
class PartOptions(Options):
    """Rows in files that several processes make."""

    parts: Annotated[
        Path | None,
        Help(
            "Write files of --part-rows rows into this folder, which several processes can share.",
            Panel.OUTPUT,
            metavar="DIR",
        ),
    ] = None
    part: Annotated[
        str | None,
        Help(
            "With --parts: do the I-th of N parts; repeat what was stopped. Default: all.", Panel.OUTPUT, metavar="I/N"
        ),
    ] = None
    part_rows: Annotated[int, Help("Rows of a file of --parts.", Panel.OUTPUT, least=1, most=1_000_000)] = 4096
    finish: Annotated[
        bool, Help("With --parts alone: check that all files are there, and write their manifest.", Panel.OUTPUT)
    ] = False

    on: Annotated[
        Runner,
        Help(
            "With --parts: who makes the files: this process; or actors of Ray, on this machine or on the cluster of "
            "$RAY_ADDRESS, whose machines all see the folder.",
            Panel.MACHINE,
            ("--on", "--engine"),
        ),
    ] = Runner.HERE
    actors: Annotated[
        int | None,
        Help(
            "With --on ray: how many, each with a model. Default: one a GPU; without, one for every 4 cores.",
            Panel.MACHINE,
            least=1,
        ),
    ] = None

    def __post_init__(self) -> None:
        if str(self.on) in list(EngineName):
            raise InputError(
                f"--engine says who does the work: {', '.join(Runner)}. How coarse cells are found is "
                f"--coarse-engine {self.on}."
            )
        super().__post_init__()
        if self.parts is None and (self.part is not None or self.finish):
            raise InputError("--part and --finish need --parts DIR, the folder of all parts.")
        if self.part is not None and self.finish:
            raise InputError("--part and --finish cannot be given together; finish when all parts are done.")
        if self.actors is not None and self.on is not Runner.RAY:
            raise InputError(f"--actors {self.actors} are of Ray; add --on ray.")
        if self.on is Runner.RAY:
            if self.parts is None or self.finish:
                raise InputError("--on ray makes the files of --parts DIR; it is given with --parts, before --finish.")
            need("ray", "--on ray")
