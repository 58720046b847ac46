"""Checkpoints on disk: written whole or not at all, read without running code from them."""

import io
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from geoclip.errors import InputError
from geoclip.files import is_file, written_whole
from geoclip.release.config import ModelConfig
from geoclip.release.directory import torch_file
from geoclip.schema import record_of

CHECKPOINT_FORMAT = 1
LAST = ModelCheckpoint.CHECKPOINT_NAME_LAST
"""What the checkpoint of the last step is called."""


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoint files, except that a full disk leaves the earlier one as it was and is said so."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint under a temporary name, then rename it.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        content = io.BytesIO()  # torch turns an OSError of the file into a RuntimeError that hides what it was
        torch.save(checkpoint, content)
        with written_whole(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint on the CPU; see `read_checkpoint`."""
        return read_checkpoint(Path(path))


class LastAtTheEnd(L.Callback):
    """Saves the last step of a run that ends, where checkpoints are called `last`.

    Lightning saves every so many steps, or after a validation: what was trained after that would be lost.
    """

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save it over the earlier one."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and (callback.save_last or callback.filename == LAST):
                trainer.save_checkpoint(Path(callback.dirpath or "") / f"{LAST}.ckpt", callback.save_weights_only)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint of `geoclip train`: tensors on the CPU and plain values.

    Raises:
        InputError: no such file, a damaged one, no checkpoint of `geoclip train`, or one of another format.
    """
    if not is_file(path):
        raise InputError(f"{path} does not exist, or is not a file; give a checkpoint that `geoclip train fit` wrote.")
    try:
        content = torch_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; give a checkpoint, a file.") from error
    except Exception as error:  # bytes of any other file make the reader fail in any way
        raise InputError(
            f"{path} cannot be read as a checkpoint: it is another kind of file, or damaged; give one that "
            "`geoclip train fit` wrote."
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(name), dict) for name in ("geoclip", "state_dict")
    ):
        raise InputError(f"{path} is no checkpoint of `geoclip train fit`; give one that it wrote.")
    if content["geoclip"].get("format") != CHECKPOINT_FORMAT:
        raise InputError(
            f"{path} is a checkpoint of format {content['geoclip'].get('format')!r}; this version reads "
            f"{CHECKPOINT_FORMAT}, so train again."
        )
    return content


def config_in(checkpoint: dict[str, Any]) -> ModelConfig:
    """Return what the model in a checkpoint is; older checkpoints say `sigma` alone.

    Raises:
        InputError: it does not say.
    """
    stored = checkpoint["geoclip"]
    try:
        if "config" in stored:
            return record_of(stored["config"], ModelConfig)
        return ModelConfig().with_sigma(stored["sigma"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"The checkpoint does not say what model it holds ({error}); train again.") from error
