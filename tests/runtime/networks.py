"""Tiny networks with random weights: in torch, and as packages that coremltools made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from sdtui.runtime import Array

TARGETS = {
    "macOS13": ct.target.macOS13,
    "macOS14": ct.target.macOS14,
    "macOS15": ct.target.macOS15,
}


@dataclass(frozen=True)
class Sample:
    """A torch module, inputs for it by name, what it gives for them, and the name of that."""

    module: nn.Module
    inputs: Mapping[str, Array]
    output: str
    expected: Array


def psnr(reference: Array, value: Array) -> float:
    """20 log10(max |reference| / rms error), dB."""
    error = np.sqrt(np.mean((reference.astype(np.float64) - value) ** 2))
    return float(20 * np.log10(np.abs(reference).max() / max(error, 1e-30)))


class _Text(nn.Module):
    def __init__(self, model: CLIPTextModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        result: Tensor = self.model(input_ids.to(torch.int32), return_dict=False)[0]
        return result


class _Unet(nn.Module):
    def __init__(self, model: UNet2DConditionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        result: Tensor = self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return result


class _UnetXl(nn.Module):
    def __init__(self, model: UNet2DConditionModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        time_ids: Tensor,
        text_embeds: Tensor,
    ) -> Tensor:
        added = {"time_ids": time_ids, "text_embeds": text_embeds}
        result: Tensor = self.model(
            sample, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False
        )[0]
        return result


class _Decoder(nn.Module):
    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        result: Tensor = self.model.decode(z, return_dict=False)[0]
        return result


class _Encoder(nn.Module):
    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.model.quant_conv(self.model.encoder(x))
        return result


def _text_encoder() -> nn.Module:
    return _Text(
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=99,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=77,
                bos_token_id=97,
                eos_token_id=98,
                pad_token_id=98,
            )
        )
    )


def _unet_model(**changes: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **{
            "sample_size": 8,
            "in_channels": 4,
            "out_channels": 4,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "attention_head_dim": 4,
            "cross_attention_dim": 32,
            "norm_num_groups": 8,
            **changes,
        }
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=16,
    )


def _arrays(**shapes: tuple[int, ...]) -> dict[str, Array]:
    generator = np.random.default_rng(5)
    return {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def _unet_inputs(**more: tuple[int, ...]) -> dict[str, Array]:
    arrays = _arrays(sample=(2, 4, 8, 8), encoder_hidden_states=(2, 77, 32), **more)
    timestep = np.array([801.0, 801.0], np.float32)
    return {
        "sample": arrays.pop("sample"),
        "timestep": timestep,
        "encoder_hidden_states": arrays.pop("encoder_hidden_states"),
        **arrays,
    }


def _text_inputs() -> dict[str, Array]:
    ids = np.random.default_rng(6).integers(0, 97, (1, 77)).astype(np.float32)
    ids[0, 0], ids[0, 9:] = 97, 98
    return {"input_ids": ids}


def _xl_inputs() -> dict[str, Array]:
    inputs = _unet_inputs(text_embeds=(2, 16))
    text = inputs.pop("text_embeds")
    time_ids = np.array([[1024, 1024, 0, 0, 1024, 1024]] * 2, np.float32)
    return {**inputs, "time_ids": time_ids, "text_embeds": text}


def _unet_xl() -> nn.Module:
    return _UnetXl(
        _unet_model(
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
            use_linear_projection=True,
            down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",),
            block_out_channels=(32,),
        )
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], dict[str, Array]], str]] = {
    "text_encoder": (_text_encoder, _text_inputs, "last_hidden_state"),
    "unet": (lambda: _Unet(_unet_model()), _unet_inputs, "noise_pred"),
    "unet_xl": (_unet_xl, _xl_inputs, "noise_pred"),
    "vae_decoder": (lambda: _Decoder(_vae()), lambda: _arrays(z=(1, 4, 8, 8)), "image"),
    "vae_encoder": (lambda: _Encoder(_vae()), lambda: _arrays(x=(1, 3, 16, 16)), "latent"),
}


def make_sample(name: str) -> Sample:
    """The tiny network of this name, always the same one."""
    build, inputs, output = NETWORKS[name]
    torch.manual_seed(7)
    module = build().eval()
    arrays = inputs()
    with torch.no_grad():
        # Norms start as the identity, which would hide a mistake in how they scale and shift.
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        expected = module(*(torch.from_numpy(array) for array in arrays.values())).numpy()
    return Sample(module, arrays, output, expected)


def convert(sample: Sample, path: Path, precision: str = "fp32", target: str = "macOS13") -> Path:
    """Have coremltools convert ``sample`` for a target in ``fp16`` or ``fp32``; returns ``path``."""
    arrays = tuple(torch.from_numpy(array) for array in sample.inputs.values())
    traced = torch.jit.trace(sample.module, arrays, check_trace=False)  # type: ignore[no-untyped-call]
    model = ct.convert(
        traced,
        inputs=[
            ct.TensorType(name=key, shape=array.shape, dtype=np.float32)
            for key, array in sample.inputs.items()
        ],
        outputs=[ct.TensorType(name=sample.output, dtype=np.float32)],
        minimum_deployment_target=TARGETS[target],
        compute_precision=ct.precision.FLOAT16 if precision == "fp16" else ct.precision.FLOAT32,
        compute_units=ct.ComputeUnit.CPU_ONLY,
        skip_model_load=True,
    )
    model.save(str(path))
    return path


def merge_halves(whole: Path, folder: Path) -> Path:
    """Have coremltools cut a package in two and merge the halves to a pipeline in ``folder``."""
    options = {"merge_chunks_to_pipeline": True, "check_output_correctness": False}
    ct.models.utils.bisect_model(str(whole), str(folder), **options)
    return folder / f"{whole.stem}_chunked_pipeline.mlpackage"
