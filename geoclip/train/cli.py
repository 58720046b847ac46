"""`geoclip train`: Lightning's command line over the module and the data, with errors as one sentence."""

import difflib
import re
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from geoclip.errors import InputError
from geoclip.train.checkpoints import WholeCheckpoints, read_checkpoint
from geoclip.train.data.module import GeoData
from geoclip.train.module import GeoModule

_OWN_PATHS = ("best", "last", "hpc")
"""Values of --ckpt_path that Lightning turns into a path itself."""


class TrainCLI(LightningCLI):
    """Lightning's command line, except for how errors are said and checkpoints written."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; an error is one sentence, with the nearest key where one is unknown.

        Raises:
            InputError: a key or a value is not one of the configuration.
        """
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            known = {action.dest for sub in self._subcommand_parsers.values() for action in sub._actions}
            raise InputError(one_sentence(str(error), sorted(known))) from error

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint before anything is loaded; there are no hyperparameters in it to parse."""
        path = self.config[self.config["subcommand"]].get("ckpt_path")
        if path and path not in _OWN_PATHS:
            read_checkpoint(Path(path))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer of the configuration, with `WholeCheckpoints` added to its plugins."""
        plugins = self._get(self.config_init, "trainer").get("plugins") or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        return super().instantiate_trainer(plugins=[*plugins, WholeCheckpoints()], **kwargs)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return Lightning's subcommands without `predict`: `geoclip locate --weights` answers for photos."""
        return {name: skip for name, skip in LightningCLI.subcommands().items() if name != "predict"}


def run(arguments: list[str]) -> None:
    """Run `fit`, `validate` or `test`.

    Raises:
        InputError: the arguments or the configuration cannot be used.
    """
    quiet: dict[str, Any] = {"exit_on_error": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        try:
            TrainCLI(
                GeoModule,
                GeoData,
                args=with_packaged_configs(arguments),
                seed_everything_default=0,
                save_config_kwargs={"overwrite": True},
                parser_kwargs={**quiet, "prog": "geoclip train"}
                | {name: dict(quiet) for name in TrainCLI.subcommands()},
                auto_configure_optimizers=False,
            )
        except MisconfigurationException as error:
            raise InputError(" ".join(str(error).split())) from error


def with_packaged_configs(arguments: list[str]) -> list[str]:
    """Replace `configs/NAME.yaml` by this package's file of that name where the working folder has none."""

    def found(path: str) -> str:
        packaged = resources.files("geoclip.train") / path
        if not Path(path).exists() and Path(path).parent == Path("configs") and packaged.is_file():
            return str(packaged)
        return path

    out: list[str] = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if out and out[-1] in ("--config", "-c"):
            out.append(found(argument))
        elif flag == "--config" and equals:
            out.append(f"{flag}={found(value)}")
        else:
            out.append(argument)
    return out


def one_sentence(complaint: str, known: list[str]) -> str:
    """Return a parser's complaint as one line; where a key is unknown, with the nearest of the `known` ones."""
    unknown = re.search(r"does not accept option '([^']+)'|unrecognized arguments: --([^\s=]+)", complaint)
    if unknown is None:
        line = " ".join(complaint.split())
        return line if line.endswith(".") else f"{line}."
    key = unknown[1] or unknown[2]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    return f"The configuration has no key {key!r}; the nearest is {near!r}. See `geoclip train fit --help`."
