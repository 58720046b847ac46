"""`geoclip train`: Lightning's command line over the module and the data, with errors as one sentence."""

import difflib
import errno
import re
import textwrap
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from geoclip.errors import GeoclipError, InputError
from geoclip.files import cannot_write
from geoclip.train.checkpoints import LastAtTheEnd, WholeCheckpoints, read_checkpoint
from geoclip.train.data.module import GeoData
from geoclip.train.data.splits import SplitCountLines
from geoclip.train.module import GeoModule

_OF_NEWEST = ("best", "last")
"""Values of --ckpt_path that stand for a file of the newest run in the logger's folder."""
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_COMPLAINTS = (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError)
"""What Lightning raises where an option cannot be used."""


class TrainCLI(LightningCLI):
    """Lightning's command line, except for how errors are said and checkpoints written."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the data prepare photos as the model's CLIP tower wants them."""
        wanted = attrgetter("config.preprocess")
        parser.link_arguments("model", "data.preprocess", compute_fn=wanted, apply_on="instantiate")

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
        """Find and check the checkpoint before anything is loaded; there are no hyperparameters in it to parse."""
        config = self.config[self.config["subcommand"]]
        path = config.get("ckpt_path")
        if path in _OF_NEWEST:
            config["ckpt_path"] = path = str(newest_checkpoint(config["trainer"]["logger"], path))
        if path:
            read_checkpoint(Path(path))

    def before_fit(self) -> None:
        """Check that what callbacks wait for will be measured.

        Raises:
            InputError: there is no validation, and a callback monitors it.
        """
        if self.datamodule.validates and self.trainer.limit_val_batches:
            return
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if str(getattr(callback, "monitor", "")).startswith("val/"):
                raise InputError(
                    f"{type(callback).__name__} monitors {callback.monitor}, and nothing is validated; set data.val, "
                    "or data.val_fraction above 0 (and leave trainer.limit_val_batches), or take it out of "
                    "trainer.callbacks."
                )

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
        warnings.filterwarnings("ignore", message=".*LeafSpec")  # between Lightning and torch
        try:
            with _errors_of_threads():
                TrainCLI(
                    GeoModule,
                    GeoData,
                    args=with_packaged_configs(arguments),
                    seed_everything_default=0,
                    save_config_kwargs={"overwrite": True},
                    trainer_defaults={"callbacks": [SplitCountLines(), LastAtTheEnd()]},
                    parser_kwargs={**quiet, "prog": "geoclip train"}
                    | {name: dict(quiet) for name in TrainCLI.subcommands()},
                    auto_configure_optimizers=False,
                )
        except (GeoclipError, BrokenPipeError):
            raise
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            raise cannot_write(Path(error.filename or "the run's folder"), error) from error
        except _COMPLAINTS as error:
            if not _from_lightning(error):
                raise
            raise InputError(_one_line(str(error))) from error
        except ZeroDivisionError as error:
            if not _from_lightning(error):
                raise
            raise InputError(
                "A number of the trainer's options is 0 and must be 1 or more, such as accumulate_grad_batches."
            ) from error


@contextmanager
def _errors_of_threads() -> Iterator[None]:
    """Raise at the end the OSError of TensorBoard's writing thread, in place of that thread's traceback."""
    usual, met = threading.excepthook, []

    def note(args: threading.ExceptHookArgs) -> None:
        met.append(args.exc_value) if isinstance(args.exc_value, OSError) else usual(args)

    threading.excepthook = note
    try:
        yield
    finally:
        threading.excepthook = usual
    if met:
        raise met[0]


def _from_lightning(error: Exception) -> bool:
    """Whether Lightning's own code raised an error: it checks the trainer's options while it runs, with many types."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith(("lightning.", "lightning_utilities."))


def newest_checkpoint(logger: Any, name: str) -> Path:
    """Return the checkpoint `best` or `last` of the newest run.

    Args:
        logger: the trainer's, as configured: with save_dir and name, and perhaps a version, of the run.
        name: of the checkpoint.

    Raises:
        InputError: there is none.
    """
    options = getattr(logger, "init_args", None)
    if options is None or not options.get("save_dir"):
        raise InputError(f"--ckpt_path {name} needs a logger with a save_dir, where runs lie; give the path of a file.")
    folder, version = Path(options["save_dir"]) / (options.get("name") or ""), options.get("version")
    version = "version_*" if version is None else version if isinstance(version, str) else f"version_{version}"
    found = sorted(folder.glob(f"{version}/checkpoints/{name}.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(f"There is no {folder}/{version}/checkpoints/{name}.ckpt; give the path of a checkpoint.")
    return found[-1]


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
    if unknown is not None:
        key = unknown[1] or unknown[2]
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        return f"The configuration has no key {key!r}; the nearest is {near!r}. See `geoclip train fit --help`."
    wrong = re.search(r'Parser key "([^"]+)":.*Union subtypes.*Given value: (.*)', " ".join(complaint.split()))
    if wrong is not None:  # what each of the types would have wanted fills a screen
        return _one_line(f"{wrong[1]} cannot be {wrong[2].rstrip('.')}; see `geoclip train fit --help`.")
    if complaint.startswith("Unexpected config:"):  # and all of the file
        return "The configuration file holds no keys with values (YAML); see those that come with the package."
    return _one_line(complaint)


def _one_line(complaint: str) -> str:
    line = textwrap.shorten(complaint, 400, placeholder=" ...")
    return line if line.endswith((".", "!")) else f"{line}."
