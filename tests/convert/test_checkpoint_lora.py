"""LoRAs fused by us are LoRAs fused by diffusers."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor, nn

from sdtui.conversion import Fused
from sdtui.convert.checkpoint.checkpoint import Checkpoint, open_checkpoint
from sdtui.convert.checkpoint.fusing import fuse
from sdtui.convert.checkpoint.ldm_names import unet_modules
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints
from tests.tiny import write_tokenizer

LINEAR = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "proj_in")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    vocabulary = len(write_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    return {
        family: checkpoints.save_folder(
            tmp_path_factory.mktemp(family), family, checkpoints.networks(family, vocabulary)
        )
        for family in ("sd", "sdxl")
    }


def checkpoint_of(folder: Path, work: Path) -> Checkpoint:
    return open_checkpoint(str(folder), work)


def modules(checkpoint: Checkpoint) -> dict[str, nn.Module]:
    """Copies that diffusers may change."""
    made = {}
    for name in checkpoint.components:
        made[name] = checkpoint.component(name).module()
        for parameter in made[name].parameters():
            parameter.data = parameter.data.clone()
    return made


def psnr(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """In dB, over all weights of a network."""
    assert expected.keys() == found.keys()
    error = torch.cat([(expected[name].double() - found[name].double()).flatten() for name in expected])
    peak = max(float(tensor.abs().max()) for tensor in expected.values())
    return float(20 * torch.log10(peak / error.square().mean().sqrt().clamp(min=1e-30)))


def targets(module: nn.Module, endings: tuple[str, ...], convolutions: bool = False) -> list[str]:
    return [
        name
        for name, part in module.named_modules()
        if (isinstance(part, nn.Linear) and name.endswith(endings))
        or (isinstance(part, nn.Conv2d) and (name.endswith("proj_in") or (convolutions and "conv1" in name)))
    ]


def factors(module: nn.Module, name: str, rank: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    weight: Any = module.get_submodule(name).weight
    down = torch.randn(rank, *weight.shape[1:], generator=random) / 4
    up = torch.randn(weight.shape[0], rank, *(1 for _ in weight.shape[2:]), generator=random) / 4
    return down, up


def kohya(file: Path, networks: Mapping[str, nn.Module], rank: int, original: bool, seed: int) -> Path:
    """A LoRA as kohya's scripts write it; ``original`` under the block names of the original code."""
    random = torch.Generator().manual_seed(seed)
    tensors = {}
    for prefix, component, endings in (
        ("lora_unet_", "unet", LINEAR),
        ("lora_te1_" if "text_encoder_2" in networks else "lora_te_", "text_encoder", TEXT),
        ("lora_te2_", "text_encoder_2", TEXT),
    ):
        if component not in networks:
            continue
        module: Any = networks[component]
        names = unet_modules(module.config) if component == "unet" else {}
        for name in targets(module, endings, convolutions=True):
            down, up = factors(module, name, rank, random)
            called = names[name] if original and names else name
            if component != "unet" and not called.startswith("text_model"):
                called = f"text_model.{called}"
            flat = prefix + called.replace(".", "_")
            tensors[f"{flat}.lora_down.weight"] = down
            tensors[f"{flat}.lora_up.weight"] = up
            tensors[f"{flat}.alpha"] = torch.tensor(rank / 2)
    save_file(tensors, file)
    return file


def diffusers_lora(folder: Path, networks: Mapping[str, nn.Module], rank: int, seed: int, xl: bool) -> Path:
    """A LoRA as diffusers writes it, with PEFT's configuration in the metadata."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    random = torch.Generator().manual_seed(seed)
    layers: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    for component, endings in (("unet", LINEAR), ("text_encoder", TEXT), ("text_encoder_2", TEXT)):
        if component not in networks:
            continue
        module: Any = copy.deepcopy(networks[component])
        config = LoraConfig(
            r=rank,
            lora_alpha=3 * rank,
            target_modules=targets(module, endings),
            alpha_pattern={"to_v": rank} if component == "unet" else {},
        )
        module.add_adapter(config)
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter.data = torch.randn(parameter.shape, generator=random) / 4
        layers[component] = get_peft_model_state_dict(module)
        metadata[component] = config.to_dict()  # type: ignore[no-untyped-call]
    pipeline: Any = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    pipeline.save_lora_weights(
        folder,
        **{f"{name}_lora_layers": state for name, state in layers.items()},
        **{f"{name}_lora_adapter_metadata": each for name, each in metadata.items()},
    )
    return folder / "pytorch_lora_weights.safetensors"


def fused_by_diffusers(
    networks: Mapping[str, nn.Module], loras: list[tuple[Path, float]], xl: bool
) -> dict[str, nn.Module]:
    parts: dict[str, Any] = dict(networks)
    tokenizers = {name.replace("text_encoder", "tokenizer"): None for name in parts if "text" in name}
    if not xl:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    kind: Any = StableDiffusionXLPipeline if xl else StableDiffusionPipeline
    pipeline = kind(**parts, **tokenizers, scheduler=checkpoints.scheduler("sdxl" if xl else "sd"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, (file, _) in enumerate(loras):
            pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=f"lora{index}")
        names = [f"lora{index}" for index in range(len(loras))]
        pipeline.set_adapters(names, [weight for _, weight in loras])
        pipeline.fuse_lora(components=[name for name in networks if name != "vae"], adapter_names=names)
        pipeline.unload_lora_weights()
    return {name: getattr(pipeline, name) for name in networks}


@pytest.mark.parametrize(
    ("form", "family"),
    [
        ("kohya", "sd"),
        ("diffusers", "sd"),
        ("two", "sd"),
        ("kohya", "sdxl"),
        ("original", "sdxl"),
        ("two", "sdxl"),
    ],
)
def test_fused_like_diffusers(form: str, family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Kohya's names, the original block names, diffusers' own, and two at once of different strength."""
    checkpoint = checkpoint_of(folders[family], tmp_path / "work")
    networks = modules(checkpoint)
    xl = family == "sdxl"
    loras = []
    if form in ("kohya", "two"):
        loras.append((kohya(tmp_path / "a.safetensors", networks, 4, original=False, seed=1), 0.75))
    if form == "original":
        loras.append((kohya(tmp_path / "b.safetensors", networks, 4, original=True, seed=2), 1.0))
    if form in ("diffusers", "two"):
        loras.append((diffusers_lora(tmp_path / "c", networks, 2, seed=3, xl=xl), -0.5))
    expected = fused_by_diffusers(networks, loras, xl)
    fused, adapters = fuse(
        checkpoint, [Fused(str(file), weight) for file, weight in loras], [], tmp_path / "work"
    )
    assert [(adapter.kind, adapter.weight) for adapter in adapters] == [("lora", each[1]) for each in loras]
    for name in networks:
        original = checkpoint.component(name)
        ratio = psnr(expected[name].state_dict(), fused.component(name).module().state_dict())
        assert ratio > 100, (name, ratio)
        if name == "vae":
            assert fused.component(name) is original
        else:
            assert psnr(original.module().state_dict(), expected[name].state_dict()) < 60
            assert fused.component(name).fingerprint() != original.fingerprint()


QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


def fused_weight(checkpoint: Checkpoint, tensors: dict[str, Tensor], tmp_path: Path, weight: str) -> Tensor:
    """What ``tensors``, a LoRA, at half strength add to a weight of the UNet."""
    file = tmp_path / "lora.safetensors"
    save_file(tensors, file)
    fused, _ = fuse(checkpoint, [Fused(str(file), 0.5)], [], tmp_path / "work")
    before = checkpoint.component("unet").module().get_parameter(weight)
    return fused.component("unet").module().get_parameter(weight) - before


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"),
        ("base_model.model.unet.{}.lora_A.default.weight", "base_model.model.unet.{}.lora_B.default.weight"),
        ("unet.{}.lora.down.weight", "unet.{}.lora.up.weight"),
        ("lora_unet_{_}.lora_down.weight", "lora_unet_{_}.lora_up.weight"),
        (
            "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_A.weight",
            "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_B.weight",
        ),
        (
            f"{QUERY.removesuffix('.to_q')}.processor.to_q_lora.down.weight",
            f"{QUERY.removesuffix('.to_q')}.processor.to_q_lora.up.weight",
        ),
    ],
)
def test_names_of_many_tools(down: str, up: str, folders: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = checkpoint_of(folders["sd"], tmp_path / "work")
    factors = torch.randn(3, 32), torch.randn(32, 3)
    names = [each.replace("{_}", QUERY.replace(".", "_")).replace("{}", QUERY) for each in (down, up)]
    added = fused_weight(checkpoint, dict(zip(names, factors, strict=True)), tmp_path, f"{QUERY}.weight")
    torch.testing.assert_close(added, 0.5 * factors[1] @ factors[0])


def test_each_module_has_its_own_alpha(folders: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = checkpoint_of(folders["sd"], tmp_path / "work")
    tensors: dict[str, Tensor] = {}
    for part, alpha in (("to_q", 1.0), ("to_k", 6.0)):
        name = f"lora_unet_{QUERY.removesuffix('to_q').replace('.', '_')}{part}"
        tensors |= {
            f"{name}.lora_down.weight": torch.ones(3, 32),
            f"{name}.lora_up.weight": torch.ones(32, 3),
            f"{name}.alpha": torch.tensor(alpha),
        }
    added = fused_weight(checkpoint, tensors, tmp_path, f"{QUERY}.weight")
    torch.testing.assert_close(added, torch.full((32, 32), 0.5 * 1 / 3 * 3))
    added = fused_weight(checkpoint, tensors, tmp_path, f"{QUERY.removesuffix('q')}k.weight")
    torch.testing.assert_close(added, torch.full((32, 32), 0.5 * 6 / 3 * 3))


def test_convolution_with_a_core(folders: dict[str, Path], tmp_path: Path) -> None:
    """LoCon's three factors are three convolutions after each other."""
    checkpoint = checkpoint_of(folders["sd"], tmp_path / "work")
    down, mid, up = torch.randn(2, 32, 1, 1), torch.randn(2, 2, 3, 3), torch.randn(32, 2, 1, 1)
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    tensors = {
        f"{name}.lora_{role}.weight": each for role, each in (("down", down), ("mid", mid), ("up", up))
    }
    added = fused_weight(checkpoint, tensors, tmp_path, "down_blocks.0.resnets.0.conv1.weight")
    picture = torch.randn(1, 32, 5, 5)
    convolve = nn.functional.conv2d
    expected = convolve(convolve(convolve(picture, down), mid, padding=1), up)
    torch.testing.assert_close(convolve(picture, added, padding=1), 0.5 * expected, atol=1e-4, rtol=1e-4)


def test_stored_type_is_kept_and_the_rest_stays(tmp_path: Path) -> None:
    vocabulary = len(write_tokenizer(tmp_path / "vocabulary"))
    networks = checkpoints.networks("sd3", vocabulary)
    folder = checkpoints.save_folder(tmp_path / "model", "sd3", networks, torch.bfloat16)
    checkpoint = checkpoint_of(folder, tmp_path / "work")
    name = "transformer_blocks.1.attn.add_k_proj"
    down, up = torch.randn(2, 128), torch.randn(128, 2)
    file = tmp_path / "lora.safetensors"
    save_file({f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}, file)
    fused, [adapter] = fuse(checkpoint, [Fused(str(file), 2.0)], [], tmp_path / "work")
    assert (adapter.name, adapter.weight, len(adapter.sha256)) == ("lora", 2.0, 64)
    before = checkpoint.component("transformer").module().state_dict()
    after = fused.component("transformer").module().state_dict()
    for key, tensor in after.items():
        expected = before[key]
        if key == f"{name}.weight":
            expected = (expected.float() + 2 * up @ down).bfloat16()
        assert torch.equal(tensor, expected), key
    assert fused.component("vae") is checkpoint.component("vae")
    again, _ = fuse(checkpoint, [Fused(str(file), 2.0)], [], tmp_path / "work")
    assert again.component("transformer").fingerprint() == fused.component("transformer").fingerprint()
    other, _ = fuse(checkpoint, [Fused(str(file), 1.0)], [], tmp_path / "work")
    assert other.component("transformer").fingerprint() != fused.component("transformer").fingerprint()


PLAIN = {f"unet.{QUERY}.lora_A.weight": torch.ones(2, 32), f"unet.{QUERY}.lora_B.weight": torch.ones(32, 2)}
KEY = f"lora_unet_{QUERY.replace('.', '_').replace('attn1_to_q', 'attn2_to_k')}"


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        (PLAIN | {f"unet.{QUERY}.lora_magnitude_vector": torch.ones(32)}, "it is DoRA"),
        ({f"{KEY}.hada_w1_a": torch.ones(2, 2)}, "it is LoHa"),
        ({f"{KEY}.lokr_w1": torch.ones(2, 2)}, "it is LoKr"),
        (PLAIN | {f"unet.{QUERY}.lora_B.bias": torch.ones(32)}, "it is a LoRA with biases"),
        ({f"{KEY}.diff": torch.ones(2, 2)}, "it is full differences"),
        (
            {f"{KEY}.lora_down.weight": torch.ones(2, 2048), f"{KEY}.lora_up.weight": torch.ones(32, 2)},
            "it was made for Stable Diffusion XL, and model is Stable Diffusion 1 or 2",
        ),
        ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": torch.ones(2, 2)}, "made for Flux"),
        (PLAIN | {f"unet.{QUERY}.lora_A.weight": torch.ones(2, 31)}, "does not fit a weight of (32, 32)"),
        (PLAIN | {f"unet.{QUERY}.lora_A.weight": torch.ones(3, 32)}, "does not fit"),
        (PLAIN | {f"unet.{QUERY}.lora_A.weight": torch.full((2, 32), torch.nan)}, "not finite"),
        (PLAIN | {f"unet.{QUERY}.lora_A.weight": torch.ones(0, 32)}, "has the shape (0, 32)"),
        (PLAIN | {f"unet.x{n}.lora_A.weight": torch.ones(2, 32) for n in range(5)}, "and 2 more"),
        ({f"unet.{QUERY}.lora_A.weight": torch.ones(2, 32)}, "lacks one of its two factors"),
        ({"embeddings.weight": torch.ones(2, 2)}, "it is no LoRA"),
        (PLAIN | {f"unet.{QUERY}.lora_B.weight": torch.full((32, 2), 1e38)}, "no longer finite"),
    ],
)
def test_refusals(tensors: dict[str, Tensor], why: str, folders: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = checkpoint_of(folders["sd"], tmp_path / "work")
    file = tmp_path / "lora.safetensors"
    save_file(tensors, file)
    with pytest.raises(ConversionError) as caught:
        fuse(replace(checkpoint, name="model"), [Fused(str(file), 1e3)], [], tmp_path / "work")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.glob("work/*")] in ([], [".lock"])


def test_dora_in_the_metadata_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    save_file(PLAIN, file, {"lora_adapter_metadata": json.dumps({"unet.use_dora": True})})
    with pytest.raises(ConversionError, match="it is DoRA"):
        fuse(checkpoint_of(folders["sd"], tmp_path), [Fused(str(file))], [], tmp_path)
    with pytest.raises(ConversionError, match="it is no file"):
        fuse(checkpoint_of(folders["sd"], tmp_path), [Fused(str(tmp_path / "absent"))], [], tmp_path)
