"""CLIP checkpoints of three layouts give the same tower; others are refused in words."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from geoclip.encoders.backbone import image_tower, text_tower, tokenise
from geoclip.encoders.clip_checkpoint import Tower, read_tower
from geoclip.errors import WeightsError
from geoclip.release.config import ModelConfig


def small_clip() -> dict[str, Tensor]:
    """A two-layer CLIP in open_clip's layout, width 8."""
    from open_clip.model import CLIP

    torch.manual_seed(0)
    vision = {"image_size": 28, "patch_size": 14, "width": 64, "layers": 2}
    text = {"context_length": 77, "vocab_size": 100, "width": 64, "heads": 1, "layers": 2}
    model = CLIP(16, vision, text, quick_gelu=True)
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def as_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as transformers' CLIPModel names and shapes them, written out here on its own."""
    out: dict[str, Tensor] = {"logit_scale": state["logit_scale"]}
    for ours, theirs, top, embeddings in (
        (
            "visual.",
            "vision_model.",
            {"visual.proj": "visual_projection.weight"},
            {
                "class_embedding": "class_embedding",
                "conv1.weight": "patch_embedding.weight",
                "positional_embedding": "position_embedding.weight",
            },
        ),
        (
            "",
            "text_model.",
            {"text_projection": "text_projection.weight"},
            {"token_embedding.weight": "token_embedding.weight", "positional_embedding": "position_embedding.weight"},
        ),
    ):
        for name, target in top.items():
            out[target] = state[name].T
        for name, target in embeddings.items():
            out[f"{theirs}embeddings.{target}"] = state[ours + name]
        norms = {"ln_pre": "pre_layrnorm", "ln_post": "post_layernorm"} if ours else {"ln_final": "final_layer_norm"}
        for name, target in norms.items():
            for kind in ("weight", "bias"):
                out[f"{theirs}{target}.{kind}"] = state[f"{ours}{name}.{kind}"]
        for layer in range(2):
            block, their_block = f"{ours}transformer.resblocks.{layer}.", f"{theirs}encoder.layers.{layer}."
            for kind in ("weight", "bias"):
                for part, target in (
                    ("attn.out_proj", "self_attn.out_proj"),
                    ("ln_1", "layer_norm1"),
                    ("ln_2", "layer_norm2"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    out[f"{their_block}{target}.{kind}"] = state[f"{block}{part}.{kind}"]
                joined = state[f"{block}attn.in_proj_{kind}"]
                for letter, third in zip("qkv", joined.chunk(3), strict=True):
                    out[f"{their_block}self_attn.{letter}_proj.{kind}"] = third
    return {name: tensor.contiguous() for name, tensor in out.items()}


class Holder(nn.Module):
    """A module with the given state, to be saved as OpenAI saves: a half-precision TorchScript archive."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in state.items():
            place: nn.Module = self
            *path, last = name.split(".")
            for step in path:
                if not hasattr(place, step):
                    place.add_module(step, nn.Module())
                place = cast("nn.Module", getattr(place, step))
            place.register_parameter(last, nn.Parameter(tensor, requires_grad=False))

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return small_clip()


def written(state: dict[str, Tensor], layout: str, folder: Path) -> Path:
    if layout == "transformers-folder":
        save_file(as_transformers(state), folder / "model.safetensors")
        return folder
    if layout == "torchscript":
        path = folder / "ViT-L-14.pt"
        torch.jit.script(Holder(state)).save(str(path))  # type: ignore[no-untyped-call]
        return path
    path = folder / ("clip.safetensors" if layout == "safetensors" else "clip.pt")
    if layout == "safetensors":
        save_file(state, path)
    elif layout == "torch":
        torch.save(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{n}": t for n, t in state.items()}}, path)
    return path


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("tower", list(Tower))
@pytest.mark.parametrize("layout", ["safetensors", "torch", "training", "torchscript", "transformers-folder"])
def test_every_layout_gives_the_same_tower(state: dict[str, Tensor], layout: str, tower: Tower, tmp_path: Path) -> None:
    read = read_tower(written(state, layout, tmp_path), tower)
    if tower is Tower.IMAGE:
        expected = {n.removeprefix("visual."): t for n, t in state.items() if n.startswith("visual.")}
    else:
        expected = {n: t for n, t in state.items() if not n.startswith("visual.") and n != "logit_scale"}
        read.pop("attn_mask", None)
        expected.pop("attn_mask", None)
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(read[name], tensor), name


def test_other_files_are_refused_in_words(state: dict[str, Tensor], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    for path in (tmp_path / "pipe.pt", tmp_path / ("x" * 300)):  # neither waited for nor a traceback
        with pytest.raises(WeightsError, match="does not exist, or is not a file"):
            read_tower(path, Tower.IMAGE)
    with pytest.raises(WeightsError, match="does not exist"):
        read_tower(tmp_path / "absent.pt", Tower.IMAGE)
    with pytest.raises(WeightsError, match="holds none of"):
        read_tower(tmp_path, Tower.IMAGE)
    for name in ("noise.pt", "noise.safetensors"):
        (tmp_path / name).write_bytes(b"\x00" * 5000)
        with pytest.raises(WeightsError, match="cannot be read"):
            read_tower(tmp_path / name, Tower.IMAGE)
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds no image tower"):
        read_tower(tmp_path / "other.safetensors", Tower.IMAGE)
    with pytest.raises(WeightsError, match="is not a checkpoint of CLIP ViT-L-14"):
        image_tower(ModelConfig(), written(state, "safetensors", tmp_path))


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "ran"),)

    torch.save({"visual.conv1.weight": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(WeightsError):
        read_tower(tmp_path / "bomb.pt", Tower.IMAGE)
    assert not (tmp_path / "ran").exists()


class Evil(nn.Module):
    """Writes a file when TorchScript loads it."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.weight: Tensor = nn.Parameter(torch.ones(2))

    @torch.jit.export
    def __getstate__(self) -> tuple[str, Tensor, bool]:
        return self.target, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, Tensor, bool]) -> None:
        torch.save(state[1], state[0])
        self.target = state[0]
        self.weight = state[1]
        self.training = state[2]

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_read_and_not_run(tmp_path: Path) -> None:
    """A checkpoint must not write files: this one would, where `torch.jit.load` runs it."""
    letter, path = tmp_path / "letter.txt", tmp_path / "ViT-L-14.pt"
    letter.write_text("Dear")
    torch.jit.script(Evil(str(letter))).save(str(path))  # type: ignore[no-untyped-call]
    for tower in Tower:
        with pytest.raises(WeightsError, match=r"holds no \w+ tower"):
            read_tower(path, tower)
    assert letter.read_text() == "Dear"
    torch.jit.load(path)  # type: ignore[no-untyped-call]
    assert letter.read_bytes()[:2] == b"PK"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("damage", ["another class", "out of bounds", "compressed", "flipped", "cut"])
def test_hostile_torchscript_is_refused(state: dict[str, Tensor], damage: str, tmp_path: Path) -> None:
    path, content = written(state, "torchscript", tmp_path), {}
    with zipfile.ZipFile(path) as archive:
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    pickled = next(name for name in content if name.endswith("/data.pkl"))
    if damage == "another class":
        content[pickled] = content[pickled].replace(b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n")
    elif damage == "out of bounds":
        content = {name: part[:2] if "/data/" in name else part for name, part in content.items()}
    how = zipfile.ZIP_DEFLATED if damage == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    whole = bytearray(path.read_bytes())
    if damage == "flipped":
        whole[whole.index(content[pickled]) + 300] ^= 255
    path.write_bytes(whole[:-100] if damage == "cut" else whole)
    with pytest.raises(WeightsError, match=r"cannot be read|is compressed"):
        read_tower(path, Tower.IMAGE)


@pytest.mark.parametrize("kind", ["text", "empty", "npz", "number", "nan", "integers", "half a transformers"])
def test_whatever_is_no_checkpoint_is_one_sentence(state: dict[str, Tensor], kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.pt"
    if kind in ("text", "empty"):
        path.write_text("CLIP weights: see the web page\n" * (kind == "text"))
    elif kind == "npz":
        np.savez(path.with_suffix(".npz"), state["visual.proj"])
        path.with_suffix(".npz").rename(path)
    elif kind == "half a transformers":
        torch.save({n: t for n, t in as_transformers(state).items() if "k_proj" not in n}, path)
    else:
        bad = {"number": 3, "nan": torch.full((2,), torch.nan), "integers": torch.ones(2, dtype=torch.int64)}
        torch.save(bad[kind] if kind == "number" else state | {"visual.ln_post.weight": bad[kind]}, path)
    with pytest.raises(WeightsError) as raised:
        read_tower(path, Tower.IMAGE)
    assert len(str(raised.value).splitlines()) == 1


@pytest.fixture(scope="module")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of random weights in the shape of CLIP ViT-L/14, both towers, float16, open_clip's layout."""
    torch.manual_seed(0)
    state = {f"visual.{k}": v.half() for k, v in image_tower(ModelConfig(), pretrained=False).state_dict().items()}
    state |= {k: v.half() for k, v in text_tower(ModelConfig(), pretrained=False).state_dict().items()}
    state["logit_scale"] = torch.tensor(4.6052)
    path = tmp_path_factory.mktemp("clip") / "random-vit-l-14.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    yield path
    path.unlink()


@pytest.mark.slow
def test_full_size_towers_load_one_at_a_time(clip_checkpoint: Path) -> None:
    image = image_tower(ModelConfig(), clip_checkpoint)
    assert sum(p.numel() for p in image.parameters()) == 303_966_208
    assert not any("token_embedding" in name for name, _ in image.named_parameters())
    with torch.inference_mode():
        assert image(torch.zeros(1, 3, 224, 224)).shape == (1, 768)


@pytest.mark.slow
def test_text_tower_equals_open_clips_own(clip_checkpoint: Path) -> None:
    import open_clip

    whole = open_clip.create_model("ViT-L-14-quickgelu", pretrained=str(clip_checkpoint)).float().eval()
    tokens = tokenise(["a red double-decker bus", "snow"], ModelConfig())
    with torch.inference_mode():
        torch.testing.assert_close(
            text_tower(ModelConfig(), clip_checkpoint)(tokens), whole.encode_text(tokens), rtol=1e-4, atol=1e-5
        )
        pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
        ours = image_tower(ModelConfig(), clip_checkpoint)(pixels)
        torch.testing.assert_close(ours, whole.encode_image(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_bf16_tower_stays_near_fp32(clip_checkpoint: Path) -> None:
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        fp32 = image_tower(ModelConfig(), clip_checkpoint)(pixels)
        bf16 = image_tower(ModelConfig(), clip_checkpoint, dtype=torch.bfloat16)(pixels.bfloat16()).float()
    cosine = float(nn.functional.cosine_similarity(fp32, bf16))
    assert 0.999 < cosine < 1 - 1e-7


HUB = "from geoclip.encoders.backbone import hub_checkpoint; from geoclip.release.config import ModelConfig;"


@pytest.mark.slow
def test_an_unreachable_hub_is_one_sentence_at_once(tmp_path: Path) -> None:
    """In a process of its own: the hub's client reads its settings when imported."""
    code = f"{HUB} hub_checkpoint(ModelConfig())"
    closed = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | closed, timeout=60, check=False
    )
    assert done.stderr.strip().splitlines()[-1].startswith("geoclip.errors.WeightsError: CLIP ViT-L-14's weights")
    assert "Retrying" not in done.stderr


@pytest.mark.slow
def test_a_copy_in_the_hubs_cache_is_used_without_a_network(tmp_path: Path) -> None:
    """Each of two repositories by itself, in one process."""
    copies = [
        tmp_path / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / "abc" / name
        for repository, name in (
            ("timm/vit_large_patch14_clip_224.openai", "open_clip_model.safetensors"),
            ("openai/clip-vit-large-patch14", "model.safetensors"),
        )
    ]
    for copy in copies:
        (copy.parents[2] / "refs").mkdir(parents=True)
        (copy.parents[2] / "refs" / "main").write_text("abc")
        copy.parent.mkdir(parents=True)
        copy.write_bytes(b"weights")
    one_by_one = (
        f"{HUB} import shutil, sys; print(hub_checkpoint(ModelConfig())); shutil.rmtree(sys.argv[1]);"
        "print(hub_checkpoint(ModelConfig()))"
    )
    closed = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", one_by_one, str(copies[0].parents[2])],
        capture_output=True,
        text=True,
        env=os.environ | closed,
        check=True,
    )
    assert done.stdout.splitlines() == list(map(str, copies))
