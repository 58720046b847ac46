"""`GeoCLIP`: the released package's model class, drop-in, with the gallery embedded once."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclip.encoders.embedded_gallery import embedded_gallery
from geoclip.encoders.image import ImageEncoder
from geoclip.encoders.location import LocationEncoder
from geoclip.encoders.precision import Precision
from geoclip.errors import InputError
from geoclip.photos.decode import DecodeLimits, Photo
from geoclip.release.directory import Release
from geoclip.release.fetch import released


class GeoCLIP(nn.Module):
    """GeoCLIP with the released weights: `predict(path, top_k)` and `forward(image, location)` as released.

    It differs from the released package in these points: the gallery is embedded once and kept on disk;
    EXIF orientation and colour profiles are honoured, transparency is shown over white and 16-bit grey is scaled
    (`as_released_photos=True` restores the released reading); longitudes are wrapped.

    Args:
        from_pretrained: load the released weights, fetching them first where they are not there yet.
        clip_path: CLIP's weights, a file or folder; None takes open_clip's hub.
        clip_pretrained: load CLIP's weights; False leaves its tower random, for tests and comparisons.
        image_encoder: an encoder to use in place of a new one.
        precision: arithmetic of both encoders: `auto`, `fp32` or `bf16`.
        device: where to compute; `.to()` works as well.
        as_released_photos: read photos exactly as the released package does.
        release: weights and gallery; the authors' release by default.

    Raises:
        WeightsError: weights cannot be had or do not fit.
    """

    gps_gallery: Tensor

    def __init__(
        self,
        from_pretrained: bool = True,
        *,
        clip_path: str | Path | None = None,
        clip_pretrained: bool = True,
        image_encoder: ImageEncoder | None = None,
        precision: Precision | str = Precision.FP32,
        device: str | torch.device = "cpu",
        as_released_photos: bool = False,
        release: Release | None = None,
    ) -> None:
        super().__init__()
        release = release or released()
        self.limits = DecodeLimits(as_released=as_released_photos, size=release.config.preprocess.size)
        self.logit_scale = nn.Parameter(release.logit_scale() if from_pretrained else torch.tensor(1 / 0.07).log())
        self.image_encoder = image_encoder or ImageEncoder(
            from_pretrained,
            clip_pretrained=clip_pretrained,
            clip_path=clip_path,
            precision=precision,
            device=device,
            release=release,
        )
        self.location_encoder = (
            LocationEncoder.of(release, precision=precision)
            if from_pretrained
            else LocationEncoder(from_pretrained=False, precision=precision, config=release.config)
        )
        self.register_buffer("gps_gallery", torch.from_numpy(release.gallery()), persistent=False)
        self._gallery_features: tuple[object, Tensor, Tensor] | None = None
        self.to(device)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, clip_path: str | Path | None = None, device: str = "cpu") -> Self:
        """Load a release directory (`config.json`, `model.safetensors`, gallery), ready for inference."""
        return cls(release=Release.open(path), clip_path=clip_path, device=device).eval()

    def forward(self, image: Tensor, location: Tensor) -> Tensor:
        """Return the logits (n, m) of images against locations.

        Args:
            image: (n, 3, size, size) float32, CLIP's input.
            location: (m, 2) floating point, (lat, lng) in degrees.
        """
        image_features = F.normalize(self.image_encoder(image), dim=1)
        location_features = F.normalize(self.location_encoder(location), dim=1)
        out: Tensor = self.logit_scale.exp() * (image_features @ location_features.t())
        return out

    @torch.no_grad()
    def predict(self, image_path: Photo, top_k: int) -> tuple[Tensor, Tensor]:
        """Return the places of the gallery that score best for one photo.

        Args:
            image_path: a path; also the bytes of a file, an open file, or a Pillow image.
            top_k: how many, from 1 to the length of the gallery.

        Returns:
            (top_k, 2) float32, (lat, lng) in degrees, best first, and (top_k,) float32, their softmax over all
            rows of the gallery. The gallery's duplicates count and appear as often as they stand in it, as in
            the released package. Both on the CPU.

        Raises:
            InputError: `top_k` is out of range.
            PhotoError: the photo cannot be read.
        """
        if not 1 <= top_k <= len(self.gps_gallery):
            raise InputError(f"top_k is {top_k}; it must be between 1 and {len(self.gps_gallery)}.")
        device = self.logit_scale.device
        image = self.image_encoder.preprocess_image(image_path, self.limits).to(device)
        vectors, row_of = self.gallery_features()
        query = F.normalize(self.image_encoder(image), dim=1)
        logits = (self.logit_scale.exp() * (query @ vectors.t()))[:, row_of]
        top = torch.topk(logits.softmax(dim=-1), top_k, dim=1)
        return self.gps_gallery[top.indices[0]].cpu(), top.values[0].cpu()

    def gallery_features(self) -> tuple[Tensor, Tensor]:
        """Return the unit vectors (D, dim) of the gallery's distinct places, and (N,) each row's place.

        Computed on first use, kept on disk, and renewed when the encoder's weights or the gallery have changed.
        """
        sources = (*self.location_encoder.parameters(), self.gps_gallery)
        state = tuple((t.data_ptr(), t._version, t.device) for t in sources)
        if self._gallery_features is None or self._gallery_features[0] != state:
            gallery = embedded_gallery(self.location_encoder, self.gps_gallery.cpu().numpy())
            device = self.gps_gallery.device
            self._gallery_features = (
                state,
                gallery.vectors.to(device),
                torch.from_numpy(gallery.row_of).to(device),
            )
        return self._gallery_features[1], self._gallery_features[2]
