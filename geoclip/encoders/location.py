"""The location encoder: coordinates to vectors, as released and at the speed of the hardware."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geoclip.encoders.capsule import LocationEncoderCapsule
from geoclip.encoders.cores import on_all_cores
from geoclip.encoders.degrees import checked_lat_lng, is_plain
from geoclip.encoders.layers import Layers, number_count, without_denormals
from geoclip.encoders.precision import Precision, compute_dtype
from geoclip.encoders.projection import equal_earth, equal_earth_of_few
from geoclip.errors import WeightsError
from geoclip.release.config import ModelConfig
from geoclip.release.directory import Release

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from geoclip.encoders.neighbourhood import Neighbourhood, NodeValues, StoredNodes

# Points computed at once. On a CPU each core computes a chunk of its own, whose activations (4 kB a layer and point in
# float32, 2 kB in bf16) should stay in its caches; on a GPU the products should be large enough to fill it.
CPU_CHUNK = 512
GPU_CHUNK = 65536
CPU_STEP = 16384
"""Points between two reports of progress."""


class LocationEncoder(nn.Module):
    """GeoCLIP's location encoder, compatible with the released package's class of this name.

    Without gradients (`torch.no_grad`, or frozen parameters) points are computed in chunks, in bf16 where the
    hardware has it and `precision` allows it. With gradients it is an ordinary differentiable module in the
    arithmetic of the caller.

    Args:
        sigma: standard deviations of the Fourier frequencies, one capsule each; the released ones by default.
        from_pretrained: load the released weights, fetching them first if the cache is empty.
        precision: `auto`, `fp32` or `bf16`, for computing without gradients.
        config: the sizes; the authors' by default.

    Raises:
        InputError: a sigma is not above 0, or there is none.
        WeightsError: the released weights cannot be had, or do not fit `sigma`.
    """

    def __init__(
        self,
        sigma: Sequence[float] | None = None,
        from_pretrained: bool = True,
        *,
        precision: Precision | str = Precision.AUTO,
        config: ModelConfig = ModelConfig(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self.config = config if sigma is None else config.with_sigma(sigma)
        self.sigma, self.dim, self.n = list(self.config.sigma), self.config.dim, len(self.config.sigma)
        self.precision = Precision(precision)
        for i, scale in enumerate(self.sigma):
            self.add_module(f"LocEnc{i}", LocationEncoderCapsule(scale, self.config))
        self._linears = [m for capsule in self.capsules for m in capsule.linears()]
        self._layers: dict[torch.dtype, Layers] = {}
        self._neighbourhood: tuple[object, float, Neighbourhood] | None = None
        if from_pretrained:
            from geoclip.release.fetch import released

            self.load_released(released().location_encoder())

    @classmethod
    def from_pretrained(cls, path: "str | Path", *, precision: Precision | str = Precision.AUTO) -> Self:
        """Load the encoder of a release directory (`config.json`, `model.safetensors`)."""
        return cls.of(Release.open(path), precision=precision)

    @classmethod
    def of(cls, release: Release, *, precision: Precision | str = Precision.AUTO) -> Self:
        """Return the encoder of an opened release, for inference.

        Raises:
            WeightsError: its weights are not what its configuration says.
        """
        weights = release.location_encoder()
        fits = sum(tensor.numel() for tensor in weights.values()) == number_count(release.config)
        # These weights are replaced. On "meta" nothing is allocated, whatever a stranger's configuration says; but it
        # loads sympy for a second, so it is for those alone that do not fit, and are refused below.
        with torch.random.fork_rng(devices=[]), torch.device("cpu" if fits else "meta"):
            encoder = cls(from_pretrained=False, precision=precision, config=release.config)
        encoder.load_released(weights)
        return encoder.eval()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the derived weights out of copies and pickles: oneDNN's layout has no bytes to copy."""
        return {**self.__dict__, "_layers": {}, "_neighbourhood": None}

    def load_released(self, weights: dict[str, Tensor]) -> None:
        """Load a state dict of the released layout.

        Denormal numbers (below 1.2e-38; the released weights hold 96,859) become 0: some processors multiply them so
        slowly that encoding in float32 takes five times as long, and no bit of an embedding depends on them.

        Raises:
            WeightsError: a tensor is missing, unknown or of another shape.
        """
        try:
            clean = {name: without_denormals(tensor) for name, tensor in weights.items()}
            self.load_state_dict(clean, strict=True, assign=self.device.type == "meta")
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise WeightsError(f"The location encoder's weights do not fit sigma {self.sigma}: {reason}") from error

    @property
    def capsules(self) -> list[LocationEncoderCapsule]:
        """The capsules, in the order of `sigma`."""
        return [m for m in self.children() if isinstance(m, LocationEncoderCapsule)]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.capsules[0].linears()[0].weight.device

    def forward(self, location: Tensor) -> Tensor:
        """Embed coordinates.

        Args:
            location: (N, 2) float32 or float64, (lat, lng) in degrees; longitude is wrapped to [-180, 180).
                float64 is projected in float64, which keeps places below a metre apart.

        Returns:
            (N, dim) float32 on the encoder's device, *not* normalised, as in the released package.

        Raises:
            InputError: see `checked_lat_lng`.
        """
        lat_lng = checked_lat_lng(location).to(self.device)
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters()):
            plane = equal_earth(lat_lng).float()
            total = torch.zeros(len(plane), self.dim, device=plane.device)
            for capsule in self.capsules:
                total = total + capsule(plane).float()
            return total
        out = torch.empty(len(lat_lng), self.dim, device=self.device)
        self._embed_into(out, lat_lng)
        return out

    def embed(
        self,
        lat_lng_deg: "ArrayLike",
        *,
        precision: Precision | None = None,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> "NDArray[np.float32]":
        """Embed coordinates as unit vectors: the callable an index is built with.

        Args:
            lat_lng_deg: (N, 2), (lat, lng) in degrees.
            precision: in place of the encoder's own.
            on_progress: called with the number of points finished and the number of all.

        Returns:
            (N, dim) float32, each row of length 1.

        Raises:
            InputError: see `checked_lat_lng`.
        """
        array = np.asarray(lat_lng_deg)
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        lat_lng = checked_lat_lng(torch.from_numpy(np.ascontiguousarray(array)))
        unit = np.empty((len(lat_lng), self.dim), dtype=np.float32)
        host, on_gpu = torch.from_numpy(unit), self.device.type == "cuda"
        step = GPU_CHUNK if on_gpu else CPU_STEP
        for start in range(0, len(lat_lng), step):
            part = lat_lng[start : start + step].to(self.device)
            rows = host[start : start + step]
            out = torch.empty_like(rows, device=self.device) if on_gpu else rows
            self._embed_into(out, part, precision, unit=True)
            if on_gpu:
                rows.copy_(out)
            if on_progress is not None:
                on_progress(start + len(part), len(lat_lng))
        return unit

    def exactly(self, lat_lng_deg: "NDArray[np.float64]") -> "NDArray[np.float32]":
        """Embed a few coordinates (N, 2) as unit vectors (N, dim) in float32: to the byte the same in any call."""
        return self._few(self.layers(Precision.FP32), self._projected(lat_lng_deg, few=True)).cpu().numpy()

    def quickly(self, lat_lng_deg: "NDArray[np.float64]", nodes: "StoredNodes | None" = None) -> "NDArray[np.float32]":
        """Embed a few coordinates, about: see `Neighbourhood.embed_few`. Shapes and errors as for `nearby`."""
        from geoclip.encoders.neighbourhood import FromHost

        stored = None if nodes is None else FromHost(nodes)
        return self._few(self.layers(), self._projected(lat_lng_deg, few=True), stored).cpu().numpy()

    def nearby(self, lat_lng_deg: "NDArray[np.float64]", spacing_km: float) -> "NDArray[np.float32]":
        """Embed points that lie close together, about: see `geoclip/encoders/neighbourhood.py`.

        Args:
            lat_lng_deg: (N, 2), (lat, lng) in degrees.
            spacing_km: from a point to its neighbours. Far apart, all capsules are computed.

        Returns:
            (N, dim) float32, each row of length 1.

        Raises:
            InputError: see `checked_lat_lng`.
        """
        from geoclip.encoders.neighbourhood import Neighbourhood

        layers = self.layers()
        if self._neighbourhood is None or self._neighbourhood[:2] != (layers.state, spacing_km):
            self._neighbourhood = layers.state, spacing_km, Neighbourhood(self, layers, spacing_km)
        plane = self._projected(lat_lng_deg)
        unit = torch.empty(len(plane), self.dim, device=self.device)
        self._neighbourhood[2].embed_into(unit, plane)
        return unit.cpu().numpy()

    def nodes_around(self, lat_lng_deg: "NDArray[np.float64]") -> "NDArray[np.int64]":
        """Return the keys (K,), ascending, of the nodes whose values `quickly` wants for points (N, 2).

        There are none where no capsule is smooth enough.
        """
        from geoclip.encoders.neighbourhood import nodes_around, stored_capsules

        if not stored_capsules(self.sigma):
            return np.zeros(0, np.int64)
        return nodes_around(self._projected(lat_lng_deg))

    def values_at(self, keys: "NDArray[np.int64]") -> "NDArray[np.float32]":
        """Return what is stored of nodes (K,): the sum (K, dim) of the capsules that are smooth enough."""
        from geoclip.encoders.neighbourhood import KM_PER_UNIT, STORED_SPACING, Neighbourhood, stored_capsules

        capsules = stored_capsules(self.sigma)
        neighbourhood = Neighbourhood(self, self.layers(), STORED_SPACING * KM_PER_UNIT, capsules)
        return neighbourhood.values_at(torch.from_numpy(keys).to(self.device)).cpu().numpy()

    def quickly_on_device(self, lat_lng_deg: Tensor, nodes: "NodeValues | None" = None) -> Tensor:
        """Embed points (N, 2) float64 as `quickly` does, but from tensor to tensor, on the device where they are.

        They are not checked: latitudes are -90 to 90, longitudes in [-180, 180).
        """
        return self._few(self.layers(), equal_earth(lat_lng_deg.to(self.device)), nodes).to(lat_lng_deg.device)

    def _few(self, layers: Layers, plane: Tensor, nodes: "NodeValues | None" = None) -> Tensor:
        from geoclip.encoders.neighbourhood import Neighbourhood

        unit = torch.empty(len(plane), self.dim, device=self.device)
        with torch.inference_mode():
            Neighbourhood(self, layers).embed_few(unit, plane, nodes)
        return unit

    def _projected(self, lat_lng_deg: "NDArray[np.float64]", *, few: bool = False) -> Tensor:
        """Return checked coordinates in the plane, (N, 2) float64, on the encoder's device."""
        array = np.ascontiguousarray(lat_lng_deg, dtype=np.float64)
        plain = is_plain(array)
        if few and plain:
            return torch.from_numpy(equal_earth_of_few(array)).to(self.device)
        lat_lng = torch.from_numpy(array)
        return equal_earth((lat_lng if plain else checked_lat_lng(lat_lng)).to(self.device))

    def _embed_into(
        self, out: Tensor, lat_lng: Tensor, precision: Precision | None = None, *, unit: bool = False
    ) -> None:
        """Fill `out` with the embeddings of checked coordinates, chunk by chunk, without gradients."""
        layers = self.layers(precision, as_released=True)
        on_gpu = self.device.type == "cuda"
        step = GPU_CHUNK if on_gpu else CPU_CHUNK

        def embed_chunk(start: int) -> None:
            with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
                rows = out[start : start + step]
                self._embed_chunk(rows, lat_lng[start : start + step], layers)
                if unit:
                    F.normalize(rows, dim=1, out=rows)

        on_all_cores(embed_chunk, range(0, len(lat_lng), step), cores=1 if on_gpu else None)

    def _embed_chunk(self, out: Tensor, lat_lng: Tensor, layers: Layers) -> None:
        out.zero_()
        self.add_capsules(out, equal_earth(lat_lng).float(), tuple(range(self.n)), layers)

    def add_capsules(self, out: Tensor, plane: Tensor, capsules: tuple[int, ...], layers: Layers) -> None:
        """Add the shares of some capsules, by their numbers, to `out` (N, dim) float32; in inference mode.

        Args:
            out: added to.
            plane: (N, 2) float32 projected points.
            capsules: numbers in the order of `sigma`, at least one.
            layers: of `layers()`.
        """
        activations = []
        for number in capsules:
            hidden = layers.hidden[number]
            x = self.capsules[number].capsule[0](plane).to(hidden[0][1].dtype)
            for weight, bias in hidden:
                x = layers.linear(x, weight, bias, relu=True)
            if layers.as_released:
                out += F.linear(x, *layers.heads[number])
            else:
                activations.append(x)
        if activations:
            weight, bias = layers.head(capsules)
            joined = activations[0] if len(activations) == 1 else torch.cat(activations, dim=1)
            out += layers.linear(joined, weight, None, relu=False)
            out += bias

    def layers(self, precision: Precision | None = None, *, as_released: bool = False) -> Layers:
        """Return the layers in the dtype of a precision, the encoder's own by default.

        Copies are kept until a parameter changes.

        Args:
            precision: `auto`, `fp32` or `bf16`.
            as_released: in float32, compute what the released package does, bit by bit, and not as fast as can be.
        """
        dtype = compute_dtype(precision or self.precision, self.device)
        own = [p for m in self._linears for p in m._parameters.values() if p is not None]
        state = (dtype, *((p.data_ptr(), p._version) for p in own))
        released = as_released and dtype is torch.float32
        kept = None if released else self._layers.get(dtype)
        if kept is None or kept.state != state:
            pairs = [[(m.weight, m.bias) for m in capsule.linears()] for capsule in self.capsules]
            kept = Layers.of(pairs, dtype, state, as_released=released)
            if not released:
                self._layers[dtype] = kept
        return kept
