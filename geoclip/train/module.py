"""The LightningModule: what one training step does, what is measured on held-out photos, what a checkpoint holds."""

import math
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from geoclip.encoders.backbone import image_tower
from geoclip.encoders.image import image_mlp, released_mlp
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision, compute_dtype
from geoclip.errors import InputError
from geoclip.release.config import ModelConfig
from geoclip.release.directory import Release, config_of
from geoclip.release.fetch import released
from geoclip.train.checkpoints import CHECKPOINT_FORMAT, config_in
from geoclip.train.data.sources import Batch
from geoclip.train.gather import gathered, own_share
from geoclip.train.loss import contrastive_loss
from geoclip.train.noise import displaced
from geoclip.train.queue import PlaceQueue
from geoclip.train.retrieval import CandidatePlaces, Retrieved, candidates, gallery_places, retrieved
from geoclip.train.settings import Optimizer, Schedule

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Of Lightning's, those that leave the weights in float32."""
FRESH_TEMPERATURE = 0.07
"""Of the logits where training starts from scratch, as in CLIP."""


class GeoModule(L.LightningModule):
    """GeoCLIP in training: frozen CLIP; image perceptron, location encoder and temperature learn.

    CLIP's tower is no part of the module's state: checkpoints do not hold it, and features need none.

    Args:
        start: the weights at the start: `released`, `scratch`, or the folder of a release (`geoclip export`).
        like: from scratch, a folder whose `config.json` says what to build, such as a release; None is the authors'.
        sigma: from scratch, standard deviations of the Fourier frequencies in place of those of `like`, one perceptron
            each. Otherwise None: those of the weights.
        queue_size: places of earlier batches that are further negatives; 0 is no queue.
        noise_m: standard deviation, in metres north and east, of the noise on the batch's coordinates.
        queue_noise_m: the same for the queue's.
        optimizer: how weights are changed.
        schedule: the learning rate over time.
        gallery: the places that validation chooses from: `released`, `train` (those of the training data), or a file
            of coordinates (.csv, .parquet).
        clip_checkpoint: CLIP's weights, a file or folder; None takes open_clip's hub. Only for photos.
        clip_precision: arithmetic of CLIP's tower; `auto` is bf16 where the hardware has it.

    Raises:
        InputError: a value is out of range.
        WeightsError: the weights of `start` cannot be had.
    """

    def __init__(
        self,
        start: str = "released",
        like: str | None = None,
        sigma: list[float] | None = None,
        queue_size: int = 4096,
        noise_m: float = 150.0,
        queue_noise_m: float = 1000.0,
        optimizer: Optimizer = Optimizer(),
        schedule: Schedule = Schedule(),
        gallery: str = "released",
        clip_checkpoint: str | None = None,
        clip_precision: Literal["auto", "fp32", "bf16"] = "auto",
    ) -> None:
        super().__init__()
        for name, value in (("queue_size", queue_size), ("noise_m", noise_m), ("queue_noise_m", queue_noise_m)):
            if not 0 <= value < float("inf"):
                raise InputError(f"{name} is {value}; it must be 0 or more.")
        self.optimizer, self.schedule, self.gallery = optimizer, schedule, gallery
        self.noise_m, self.queue_noise_m = float(noise_m), float(queue_noise_m)
        self.location_encoder, self.mlp, logit_scale = _started(start, like, sigma)
        self.logit_scale = nn.Parameter(logit_scale)
        self.config = self.location_encoder.config
        self.queue = PlaceQueue(queue_size)
        self.noise = torch.Generator().manual_seed(torch.initial_seed())  # as `seed_everything` says, on every rank
        self._clip_checkpoint, self._clip_precision = clip_checkpoint, clip_precision
        self._tower_dtype = torch.float32
        self._towers: list[nn.Module] = []  # a list hides it from the state
        self._places: NDArray[np.float64] | None = None
        self._candidates: CandidatePlaces | None = None
        self._retrieved: list[Retrieved] = []

    # -- embedding

    def features(self, inputs: Tensor) -> Tensor:
        """Return CLIP's features (B, features) float32 of `Batch.inputs`, which may be features already.

        Raises:
            InputError: they are features of another width.
        """
        width = self.config.backbone.features
        if inputs.ndim == 2:
            if inputs.shape[1] != width:
                raise InputError(
                    f"The data has features of {inputs.shape[1]} numbers and the model takes {width}; make them with "
                    "the model's own CLIP tower (`geoclip embed --features --weights RELEASE`)."
                )
            return inputs.float()
        if len(inputs) == 0:
            return inputs.new_zeros(0, width)
        if not self._towers:
            path = None if self._clip_checkpoint is None else Path(self._clip_checkpoint)
            self._tower_dtype = compute_dtype(self._clip_precision, self.device)
            self._towers.append(image_tower(self.config, path, dtype=self._tower_dtype))
        tower = self._towers[0].to(self.device)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):  # the tower has its own precision
            features: Tensor = tower(inputs.to(self._tower_dtype)).float()
        return features

    def embed_photos(self, inputs: Tensor) -> Tensor:
        """Return unit vectors (B, dim) float32 of `Batch.inputs`."""
        return F.normalize(self.mlp(self.features(inputs)).float(), dim=1)

    def loss(self, inputs: Tensor, lat_lng: Tensor) -> Tensor:
        """Return the loss of the joined batch of all ranks, and move its places into the queue.

        Args:
            inputs: (B, 3, size, size) or (B, features), this rank's.
            lat_lng: (B, 2) float64 degrees.
        """
        photos = gathered(self.embed_photos(inputs))
        truth = gathered(lat_lng.double())
        exact = torch.cat((truth, self.queue.contents()))
        sigma_m = torch.full((len(exact),), self.queue_noise_m, dtype=torch.float64, device=exact.device)
        sigma_m[: len(truth)] = self.noise_m
        moved = displaced(exact, sigma_m, self.noise)
        places = gathered(F.normalize(self.location_encoder(own_share(moved)), dim=1))
        same_place = (truth[:, None] == exact).all(dim=2)
        self.queue.push(truth)
        return contrastive_loss(photos, places, self.logit_scale, same_place)

    # -- training

    def setup(self, stage: str) -> None:
        """Refuse what would ruin a run or end it later: the trainer's precision, the gallery.

        Raises:
            InputError: the weights would not be float32, or the gallery has no places.
        """
        if self.trainer.precision not in PRECISIONS:
            raise InputError(
                f"trainer.precision is {self.trainer.precision}; the weights and Fourier features need float32, so use "
                f"{', '.join(PRECISIONS)}."
            )
        if self.gallery != "train":
            self._places = gallery_places(self.gallery)
            return
        try:
            self._places = self._training_places().numpy()
        except InputError as error:
            raise InputError(f"model.gallery is train, so places of the training data are needed: {error}") from error

    def on_fit_start(self) -> None:
        """Fill the queue with training places, unless a checkpoint did."""
        if len(self.queue.places) and int(self.queue.used) == 0:
            self.queue.start(self._training_places(), self.noise)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss; log it, the temperature and the learning rate."""
        loss = self.loss(batch.inputs, batch.lat_lng)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/temperature", (-self.logit_scale).exp())
        self.log("train/learning_rate", rate)
        return loss

    def configure_optimizers(self) -> Any:
        """Return the optimiser and, if there is one, the schedule."""
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        trained = [p for p in self.parameters() if p.requires_grad]
        chosen = self.optimizer
        optimizer = kinds[chosen.name](trained, lr=chosen.lr, weight_decay=chosen.weight_decay)
        if self.schedule.name == "none":
            return optimizer
        if self.schedule.name == "step":
            steps = torch.optim.lr_scheduler.StepLR(optimizer, self.schedule.epochs, self.schedule.gamma)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steps, "interval": "epoch"}}
        total = self.trainer.estimated_stepping_batches
        if total == float("inf"):
            raise InputError("The schedule cosine needs the run's length; set trainer.max_epochs or max_steps.")
        cosine = torch.optim.lr_scheduler.LambdaLR(  # CosineAnnealingLR restores its old length and rises again
            optimizer, lambda step: (1 + math.cos(math.pi * min(step / total, 1.0))) / 2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def _training_places(self) -> Tensor:
        """Return the places of the training data, (N, 2) float64 degrees, alike on every rank."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            raise InputError("Training needs a data module: it names the places that the queue starts with.")
        return torch.as_tensor(np.asarray(data.coordinates(), dtype=np.float64))

    # -- validation and test

    def _begin_retrieval(self) -> None:
        if self._places is None:
            raise RuntimeError("retrieval before setup")
        self._candidates = candidates(self.location_encoder, self._places)
        self._retrieved = []

    def _retrieve(self, batch: Batch) -> None:
        if self._candidates is None:
            raise RuntimeError("retrieval before its start")
        self._retrieved.append(retrieved(self.embed_photos(batch.inputs), batch, self._candidates))

    def _finish_retrieval(self, name: str) -> None:
        found = Retrieved.joined(self._retrieved)
        for metric, value in found.metrics().items():
            self.log(f"{name}/{metric}", value, prog_bar=metric == "accuracy_200km", sync_dist=True)  # alike on all
        experiment: Any = getattr(self.logger, "experiment", None)
        if hasattr(experiment, "add_image") and self.trainer.is_global_zero:
            from geoclip.train.prediction_map import prediction_map

            picture = prediction_map(found.truth.cpu().numpy(), found.predicted.cpu().numpy(), found.km())
            experiment.add_image(f"{name}/map", picture, self.global_step, dataformats="HWC")
        self._candidates, self._retrieved = None, []

    on_validation_epoch_start = _begin_retrieval
    on_test_epoch_start = _begin_retrieval

    def validation_step(self, batch: Batch, _: int) -> None:
        """Find the best place of the gallery for each photo."""
        self._retrieve(batch)

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Log accuracy, median error and a map."""
        self._finish_retrieval("val")

    def on_test_epoch_end(self) -> None:
        """As after validation."""
        self._finish_retrieval("test")

    # -- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what `geoclip export` needs, and the state of the noise."""
        checkpoint["geoclip"] = {
            "format": CHECKPOINT_FORMAT,
            "config": self.config.model_dump_json(),
            "noise": self.noise.get_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the noise.

        Raises:
            InputError: the checkpoint is of a model with another configuration or queue size, or damaged.
        """
        stored = checkpoint["geoclip"]
        queue = checkpoint["state_dict"].get("queue.places", ())
        mine = {
            **{name: (value, getattr(self.config, name)) for name, value in config_in(checkpoint)},
            "queue_size": (len(queue), len(self.queue.places)),
        }
        for name, (theirs, ours) in mine.items():
            if theirs != ours:
                raise InputError(f"The checkpoint has {name} {theirs} and the configuration {ours}; make them alike.")
        try:
            self.noise.set_state(stored["noise"])
        except (KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"The checkpoint holds no state of the noise ({error}); it cannot go on.") from error


def _started(start: str, like: str | None, sigma: list[float] | None) -> tuple[LocationEncoder, nn.Module, Tensor]:
    """Return the location encoder, the image perceptron and the logarithm of tau that training begins with."""
    if start == "scratch":
        config = ModelConfig() if like is None else config_of(Path(like))
        mlp = image_mlp(config)
        encoder = LocationEncoder(sigma, from_pretrained=False, precision=Precision.FP32, config=config)
        return encoder, mlp, torch.tensor(1 / FRESH_TEMPERATURE).log()
    release = released() if start == "released" else Release.open(start)
    theirs = release.config.sigma
    if like is not None or (sigma is not None and tuple(sigma) != theirs):
        raise InputError(
            f"like is {like} and sigma {sigma}, but the weights to start from say what the model is (sigma "
            f"{list(theirs)}); leave both out, or set start to scratch."
        )
    encoder = LocationEncoder.of(release, precision=Precision.FP32).train()
    return encoder, released_mlp(release), release.logit_scale()
