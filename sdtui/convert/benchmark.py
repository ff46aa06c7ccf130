"""Conversion at real size, against the usual way in the same run.

``python -m sdtui.convert.benchmark sd15`` (or ``sdxl``) makes a checkpoint of that architecture with
random weights, converts all of it, then converts the UNet once more as Apple's converter does: all
weights in memory, ``torch.jit.trace``, ``coremltools.convert``, ``save``. It prints seconds, peak
memory and ratios. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from sdtui.bundle.clip import write_clip_tokenizer
from sdtui.conversion import ConversionEvent, ConversionRequest, NetworkReport, Stage
from sdtui.convert.checkpoint.component import CLASSES
from sdtui.convert.checkpoint.deferred import defer
from sdtui.convert.checkpoint.safetensors_file import write_tensors
from sdtui.convert.conversion import convert
from sdtui.convert.step import peak_memory
from sdtui.spawn import environment, python

_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "vocab_size": 49408,
    "projection_dim": 768,
}
_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "vocab_size": 49408,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "latent_channels": 4,
}
_UNET_XL = {
    "sample_size": 128,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}

ARCHITECTURES: Mapping[str, Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "sd15": {
        "text_encoder": ("CLIPTextModel", _CLIP_L),
        "unet": (
            "UNet2DConditionModel",
            {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
        ),
        "vae": ("AutoencoderKL", {**_VAE, "sample_size": 512, "scaling_factor": 0.18215}),
    },
    "sdxl": {
        "text_encoder": ("CLIPTextModel", _CLIP_L),
        "text_encoder_2": ("CLIPTextModelWithProjection", _CLIP_G),
        "unet": ("UNet2DConditionModel", _UNET_XL),
        "vae": ("AutoencoderKL", {**_VAE, "sample_size": 1024, "scaling_factor": 0.13025}),
    },
}
"""The components of each architecture: class, and what its configuration says beyond the defaults."""

_LIBRARIES = {"CLIPTextModel": "transformers", "CLIPTextModelWithProjection": "transformers"}
_SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "steps_offset": 1,
}


def write_checkpoint(architecture: str, folder: Path) -> None:
    """A diffusers folder with random float16 weights, written a tensor at a time."""
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionXLPipeline" if architecture == "sdxl" else "StableDiffusionPipeline",
        "scheduler": ["diffusers", _SCHEDULER["_class_name"]],
        # What a pipeline may have and this one has not; diffusers wants it said.
        **{key: [None, None] for key in ("safety_checker", "feature_extractor", "image_encoder")},
    }
    for name, (class_name, config) in ARCHITECTURES[architecture].items():
        library = _LIBRARIES.get(class_name, "diffusers")
        index[name] = [library, class_name]
        place = folder / name
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps({"_class_name": class_name, **config}))
        file = "model.safetensors" if library == "transformers" else "diffusion_pytorch_model.safetensors"
        write_tensors(place / file, random_weights(class_name, config))
    tokenizers = ["tokenizer"] + ["tokenizer_2"] * ("text_encoder_2" in index)
    for name in tokenizers:
        index[name] = ["transformers", "CLIPTokenizer"]
        (folder / name).mkdir()
        write_clip_tokenizer(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(_SCHEDULER))
    (folder / "model_index.json").write_text(json.dumps(index))


def random_weights(class_name: str, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A tensor for each parameter, made when it is written, that keeps activations near unit size."""
    kind = getattr(importlib.import_module(CLASSES[class_name]), class_name)
    with torch.device("meta"):
        module = (
            kind.from_config(config)
            if hasattr(kind, "from_config")
            else kind(kind.config_class.from_dict(config))
        )
    return {
        name: defer(parameter.shape, torch.float16, partial(_random, name, parameter.shape))
        for name, parameter in module.named_parameters()
    }


def _random(name: str, shape: torch.Size) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    values = torch.randn(shape, generator=generator)
    if name.endswith("weight") and len(shape) > 1:
        values *= shape[1:].numel() ** -0.5
    elif name.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values *= 0.02
    return values.half()


def the_usual_way(folder: Path, package: Path, shape: tuple[int, int], extra: bool) -> None:
    """Load the UNet, trace it, convert it, save it: what converters of this kind do."""
    import coremltools as ct
    import numpy as np
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).eval()

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unet = unet

        def forward(self, sample: Tensor, timestep: Tensor, words: Tensor, *more: Tensor) -> Tensor:
            added = dict(zip(("text_embeds", "time_ids"), more, strict=True)) if more else None
            words = words.squeeze(2).transpose(1, 2)
            answer: Tensor = self.unet(sample, timestep, words, added_cond_kwargs=added, return_dict=False)[0]
            return answer

    width = unet.config.cross_attention_dim
    inputs = {
        "sample": torch.randn(2, 4, *shape),
        "timestep": torch.full((2,), 999.0),
        "encoder_hidden_states": torch.randn(2, width, 1, 77),
    }
    if extra:
        inputs |= {"text_embeds": torch.randn(2, 1280), "time_ids": torch.full((2, 6), 1024.0)}
    with torch.no_grad():
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            Wrapped().eval(), tuple(inputs.values()), check_trace=False
        )
    ct.convert(
        traced,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.macOS13,
        inputs=[ct.TensorType(name, each.shape, dtype=np.float32) for name, each in inputs.items()],
        outputs=[ct.TensorType("noise_pred", dtype=np.float32)],
        skip_model_load=True,
    ).save(str(package))


def main() -> None:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.convert.benchmark", description=__doc__)
    parser.add_argument("architecture", choices=ARCHITECTURES)
    parser.add_argument("--work", type=Path, help="where files go, and stay (default: a temporary folder)")
    parser.add_argument("--attention", default="ORIGINAL")
    parser.add_argument("--nbits", type=int)
    parser.add_argument("--no-peer", action="store_true", help="leave the usual way out")
    parser.add_argument("--peer-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer_only:
        _run_peer(arguments.architecture, arguments.work)
        return
    with tempfile.TemporaryDirectory() as temporary:
        _run(arguments, arguments.work or Path(temporary))


def _run(arguments: argparse.Namespace, work: Path) -> None:
    checkpoint = work / arguments.architecture
    if not checkpoint.exists():
        write_checkpoint(arguments.architecture, checkpoint)
    stages = _Stages()
    request = ConversionRequest(
        source=str(checkpoint),
        output=str(work / f"bundle-{time.time_ns()}"),
        attention=arguments.attention,
        nbits=arguments.nbits,
    )
    report = convert(request, stages.hear)
    for each in report.networks:
        print(f"{each.network:16} {_figures(each, stages)}", flush=True)
    print(f"all networks: {report.seconds:.0f} s")
    if arguments.no_peer:
        return
    peer = subprocess.run(
        python("sdtui.convert.benchmark", arguments.architecture, "--work", str(work), "--peer-only"),
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    theirs = msgspec.json.decode(peer.stdout.splitlines()[-1], type=dict[str, float])
    ours = next(each for each in report.networks if each.network == "unet")
    seconds = stages.converting("unet")
    print(
        f"the usual way    {theirs['seconds']:6.0f} s, {theirs['memory'] / 1e9:.2f} GB (it compares nothing)"
    )
    print(
        f"ours / the usual: time {seconds / theirs['seconds']:.2f}, "
        f"memory {ours.peak_memory / theirs['memory']:.2f}"
    )


def _run_peer(architecture: str, work: Path) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=work) as folder:
        side = 128 if architecture == "sdxl" else 64
        the_usual_way(work / architecture, Path(folder) / "u.mlpackage", (side, side), architecture == "sdxl")
    print(json.dumps({"seconds": time.monotonic() - started, "memory": peak_memory()}))


class _Stages:
    """When each stage of each network began and ended."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[float]] = {}

    def hear(self, event: ConversionEvent) -> None:
        if isinstance(event, Stage):
            self._times.setdefault((event.network, event.stage), []).append(time.monotonic())
            print(f"\r{event.fraction:4.0%} {event.network} {event.stage}        ", end="", file=sys.stderr)

    def seconds(self, network: str, stage: str) -> float:
        times = self._times.get((network, stage), [0.0])
        return times[-1] - times[0]

    def converting(self, network: str) -> float:
        """From the start of its process until all is written."""
        return sum(self.seconds(network, stage) for stage in ("starting", "tracing", "storing"))


def _figures(report: NetworkReport, stages: _Stages) -> str:
    comparing = stages.seconds(report.network, "comparing")
    return (
        f"{stages.converting(report.network):6.0f} s, then {comparing:4.0f} s to compare, "
        f"{report.peak_memory / 1e9:.2f} GB, {report.psnr} dB, {report.bytes / 1e6:,.0f} MB"
    )


if __name__ == "__main__":
    main()
