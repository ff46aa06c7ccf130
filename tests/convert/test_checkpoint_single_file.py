"""Single files become the diffusers folders that they were made from."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from sdtui.bundle.clip import VOCABULARY_SIZE
from sdtui.convert.checkpoint import architectures
from sdtui.convert.checkpoint.checkpoint import Kind, open_checkpoint, open_component
from sdtui.convert.checkpoint.prediction import predicts_noise
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints, ldm

FAMILIES = {"sd": "sd", "sd2": "sd", "sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner", "sd3": "sd3"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@functools.cache
def _networks(family: str) -> dict[str, nn.Module]:
    made = checkpoints.networks(family, VOCABULARY_SIZE)
    made.pop("text_encoder_3", None)
    return made


def networks(family: str) -> dict[str, nn.Module]:
    return dict(_networks(family))


def single_file(family: str, made: checkpoints.Networks) -> dict[str, Tensor]:
    """The tensors of one file, as trainers of the family wrote them."""
    tensors = ldm.vae(made["vae"])
    tensors |= ldm.mmdit(made["transformer"]) if family == "sd3" else ldm.unet(made["unet"])
    match family:
        case "sd":
            tensors |= ldm.clip(made["text_encoder"], "cond_stage_model.transformer.")
            tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(16)[
                None
            ]
        case "sd2":
            tensors |= ldm.open_clip(made["text_encoder"], "cond_stage_model.model.", extra_layer=True)
        case "sdxl":
            tensors |= ldm.clip(made["text_encoder"], "conditioner.embedders.0.transformer.")
            tensors |= ldm.open_clip(
                made["text_encoder_2"], "conditioner.embedders.1.model.", extra_layer=False
            )
        case "sdxl-refiner":
            tensors |= ldm.open_clip(
                made["text_encoder_2"], "conditioner.embedders.0.model.", extra_layer=False
            )
        case "sd3":
            tensors |= ldm.clip(made["text_encoder"], "text_encoders.clip_l.transformer.")
            tensors |= ldm.clip(made["text_encoder_2"], "text_encoders.clip_g.transformer.")
            tensors["text_encoders.t5xxl.transformer.shared.weight"] = torch.zeros(2, 2)
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_single_file_is_the_folder_it_was_made_from(family: str, tmp_path: Path) -> None:
    made = networks(family)
    file = tmp_path / "tiny v1.safetensors"
    save_file(single_file(family, made), file)
    checkpoint = open_checkpoint(str(file), tmp_path / "work")
    assert checkpoint.family == FAMILIES[family]
    assert checkpoint.name == "tiny v1"
    assert set(checkpoint.components) == set(made)
    words = torch.randint(0, VOCABULARY_SIZE, (1, 16))
    for name, network in made.items():
        module = checkpoint.component(name).module()
        expected, found = network.state_dict(), module.state_dict()
        assert expected.keys() == found.keys()
        for key in expected:
            assert torch.equal(expected[key], found[key]), key
        if name.startswith("text_encoder"):  # heads and activations, too
            with torch.no_grad():
                torch.testing.assert_close(network(words)[0], module(words)[0])
        else:
            _assert_same_architecture(network.config, module.config)
    assert checkpoint.warnings == (
        ("its T5 is left out: a single file has no vocabulary for it",) if family == "sd3" else ()
    )
    for name in (name for name in made if name.startswith("text_")):
        folder = checkpoint.tokenizer(name.replace("text_encoder", "tokenizer"))
        assert len(json.loads((folder / "vocab.json").read_text())) == VOCABULARY_SIZE
        padding = json.loads((folder / "tokenizer_config.json").read_text())["pad_token"]
        assert padding == ("!" if name.endswith("2") or family == "sd2" else "<|endoftext|>")
    if family == "sd3":
        assert checkpoint.scheduler_config["shift"] == 3.0
    else:
        velocity = "v_prediction" if family == "sd2" else "epsilon"
        assert checkpoint.scheduler_config["prediction_type"] == velocity


def _assert_same_architecture(expected: Any, found: Any) -> None:
    """Equal in all that changes what a network computes; None and its meaning count as equal."""
    different = {
        key: (value, found[key])
        for key, value in expected.items()
        if not key.startswith("_")
        and key not in ("sample_size", "upcast_attention", "transformer_layers_per_block", "force_upcast")
        and list_of(value) != list_of(found[key])
    }
    assert not different


PUBLISHED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "Stable Diffusion 1.5": (UNet2DConditionModel, ldm.unet, {"cross_attention_dim": 768}),
    "Stable Diffusion 2.1": (
        UNet2DConditionModel,
        ldm.unet,
        {
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
            "use_linear_projection": True,
        },
    ),
    "Stable Diffusion XL": (
        UNet2DConditionModel,
        ldm.unet,
        {
            "block_out_channels": [320, 640, 1280],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "transformer_layers_per_block": [1, 2, 10],
            "cross_attention_dim": 2048,
            "attention_head_dim": [5, 10, 20],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    ),
    "Stable Diffusion XL refiner": (
        UNet2DConditionModel,
        ldm.unet,
        {
            "block_out_channels": [384, 768, 1536, 1536],
            "down_block_types": [
                "DownBlock2D",
                "CrossAttnDownBlock2D",
                "CrossAttnDownBlock2D",
                "DownBlock2D",
            ],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            "transformer_layers_per_block": 4,
            "cross_attention_dim": 1280,
            "attention_head_dim": [6, 12, 24, 24],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2560,
        },
    ),
    "Stable Diffusion 3": (
        SD3Transformer2DModel,
        ldm.mmdit,
        {
            "num_layers": 24,
            "num_attention_heads": 24,
            "caption_projection_dim": 1536,
            "pos_embed_max_size": 192,
        },
    ),
    "Stable Diffusion 3.5 medium": (
        SD3Transformer2DModel,
        ldm.mmdit,
        {
            "num_layers": 24,
            "num_attention_heads": 24,
            "caption_projection_dim": 1536,
            "pos_embed_max_size": 384,
            "dual_attention_layers": list(range(13)),
            "qk_norm": "rms_norm",
        },
    ),
    "VAE": (
        AutoencoderKL,
        ldm.vae,
        {
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
        },
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_architectures_of_the_published_models(name: str) -> None:
    """Their real sizes, without their weights: the configuration that is found makes the same network."""
    kind, named, config = PUBLISHED[name]
    with torch.device("meta"):
        published = kind(**config)
        tensors = named(published, "")
        match kind.__name__:
            case "UNet2DConditionModel":
                found = architectures.unet(tensors, 64)
            case "SD3Transformer2DModel":
                found = architectures.mmdit(tensors, 128)
            case _:
                found = architectures.vae(tensors, 512)
        made = kind.from_config(found)
    heads = ("attention_head_dim", "num_attention_heads")
    for key in heads:
        assert list_of(made.config.get(key)) == list_of(published.config.get(key))
    shapes = [{key: tensor.shape for key, tensor in each.state_dict().items()} for each in (made, published)]
    assert shapes[0] == shapes[1]


def list_of(value: Any) -> Any:
    """JSON has no tuples."""
    return list(value) if isinstance(value, tuple) else value


def test_unpacking_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """600 MB (a sparse file) are unpacked; the process grows by a tenth of them at most."""
    config = {"block_out_channels": (512, 1536), "cross_attention_dim": 64, "norm_num_groups": 32}
    with torch.device("meta"):
        large = checkpoints.unet(**config)
    header, offset = {}, 0
    for name, tensor in ldm.unet(large).items():
        end = offset + 2 * tensor.numel()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    assert offset > 400_000_000
    text = json.dumps(header).encode()
    file = tmp_path / "large.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(file, 8 + len(text) + offset)
    script = """
import resource, sys
from pathlib import Path
import diffusers, transformers
from sdtui.convert.checkpoint.checkpoint import open_component
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
for source in sys.argv[1:3]:
    before = peak()
    component = open_component(source, Path(sys.argv[3]), "unet")
assert component.bytes > 400_000_000
print(peak() - before)
"""
    small = tmp_path / "small.safetensors"
    save_file({name: tensor.clone() for name, tensor in ldm.unet(checkpoints.unet()).items()}, small)
    done = subprocess.run(
        [sys.executable, "-c", script, str(small), str(file), str(tmp_path / "work")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100_000_000


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_types_are_kept_or_widened(dtype: torch.dtype, tmp_path: Path) -> None:
    made = networks("sd")
    file = tmp_path / "model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in single_file("sd", made).items()}, file)
    module = open_checkpoint(str(file), tmp_path / "work").component("unet").module()
    wide = {torch.float64: torch.float32, torch.float8_e4m3fn: torch.float16}.get(dtype, dtype)
    assert {parameter.dtype for parameter in module.parameters()} == {wide}
    expected = made["unet"].state_dict()["conv_in.weight"].to(dtype).float()
    assert torch.equal(module.state_dict()["conv_in.weight"].float(), expected)


def test_what_is_unpacked_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file(single_file("sd", networks("sd")), file)
    first = open_checkpoint(str(file), tmp_path / "work")
    again = open_checkpoint(str(file), tmp_path / "work")
    assert first.component("unet").fingerprint() == again.component("unet").fingerprint()
    assert [path.name[0] for path in sorted((tmp_path / "work").iterdir())] == [".", "m"]


def test_pickled_single_file(tmp_path: Path) -> None:
    made = networks("sd")
    file = tmp_path / "model.ckpt"
    torch.save({"state_dict": single_file("sd", made), "global_step": 3}, file)
    module = open_checkpoint(str(file), tmp_path / "work").component("vae").module()
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, made["vae"].state_dict()[name])


def test_inpainting_and_missing_parts(tmp_path: Path) -> None:
    made = networks("sd") | {"unet": checkpoints.unet(in_channels=9)}
    tensors = single_file("sd", made)
    file = tmp_path / "inpainting.safetensors"
    save_file({name: tensor for name, tensor in tensors.items() if name.startswith("model.")}, file)
    checkpoint = open_checkpoint(str(file), tmp_path / "work")
    assert checkpoint.component("unet").config["in_channels"] == 9
    assert checkpoint.warnings == ("the file has no text encoder", "the file has no VAE")


@pytest.mark.parametrize("marks", [{"v_pred"}, {"v_pred", "ztsnr"}])
def test_marks_of_velocity_prediction(marks: set[str], tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    tensors = single_file("sdxl", networks("sdxl")) | {name: torch.tensor([]) for name in marks}
    save_file(tensors, file)
    config = open_checkpoint(str(file), tmp_path / "work").scheduler_config
    assert config["prediction_type"] == "v_prediction"
    assert config.get("rescale_betas_zero_snr", False) == ("ztsnr" in marks)


def test_noise_prediction_is_told_by_trying() -> None:
    class Echo(nn.Module):
        """What a network of either kind does at the last timestep, and a little more."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.config = checkpoints.unet().config
            self.share = nn.Parameter(torch.tensor(share, dtype=torch.float16))

        def forward(self, sample: Tensor, _timestep: int, _words: Tensor, return_dict: bool) -> tuple[Tensor]:
            assert not return_dict
            image = torch.linspace(-2, 2, sample.numel()).reshape(sample.shape).to(sample)
            return (self.share * sample - (1 - self.share**2).sqrt() * image,)

    assert predicts_noise(Echo(0.998))
    assert not predicts_noise(Echo(0.068))


@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("kind", ["unet", "vae", "controlnet"])
def test_one_network_of_a_file(kind: Kind, prefix: bool, tmp_path: Path) -> None:
    network = {"unet": checkpoints.unet, "vae": checkpoints.vae, "controlnet": checkpoints.controlnet}[kind]()
    named = {"unet": ldm.unet, "vae": ldm.vae, "controlnet": ldm.controlnet}[kind]
    tensors = named(network) if prefix else named(network, "")
    file = tmp_path / "part.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    component = open_component(str(file), tmp_path / "work", kind)
    module = component.module()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name])
    _assert_same_architecture(network.config, module.config)
    if kind == "vae":
        assert "scaling_factor" not in component.config


def test_file_of_a_folder(tmp_path: Path) -> None:
    checkpoints.controlnet().save_pretrained(tmp_path / "net")
    file = tmp_path / "net" / "diffusion_pytorch_model.safetensors"
    component = open_component(str(file), tmp_path / "work", "controlnet")
    assert component.files == (file,)
    component.module()


def test_unknown_layouts_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    for tensors, why in (
        ({"double_blocks.0.img_attn.qkv.weight": torch.zeros(1)}, "no UNet"),
        ({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, "laid out"),
        (single_file("sd", networks("sd")) | {"edm_mean": torch.zeros(4)}, "noise schedule"),
    ):
        save_file(tensors, file)
        with pytest.raises(ConversionError) as caught:
            open_checkpoint(str(file), tmp_path / "work")
        assert why in caught.value.why
    with pytest.raises(ConversionError, match="is no checkpoint"):
        open_checkpoint(__file__, tmp_path / "work")
    with pytest.raises(ConversionError, match="does not exist"):
        open_checkpoint(str(tmp_path / "absent"), tmp_path / "work")
    assert not (tmp_path / "work").exists()
