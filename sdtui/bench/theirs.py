"""A trial of diffusers' StableDiffusionPipeline: the same weights, noise, scheduler and request."""

from __future__ import annotations

import gc
import logging
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from sdtui.bench.child import Tell
from sdtui.bench.errors import MeasurementError
from sdtui.bench.measurement import Measurement, Steps, Trial
from sdtui.bench.page_cache import forget
from sdtui.bench.trial import Telling, peak_accelerator_memory, peak_memory, timed_load
from sdtui.bundle import Bundle
from sdtui.convert.accuracy import psnr
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.schedulers import make_scheduler, read_scheduler_config

NETWORKS = ("text_encoder", "unet", "vae")
EQUAL = 300.0
"""dB: what pictures without a difference are said to agree by."""


def import_libraries() -> None:
    """What the first picture would import otherwise."""
    from diffusers import StableDiffusionPipeline  # noqa: F401


def measure(trial: Trial, tell: Tell, start: float) -> Measurement:
    """Make ``trial``'s pictures as a user of diffusers would: float32 on a processor, float16 on a GPU.

    Raises :class:`MeasurementError` when the checkpoint cannot be used.
    """
    assert trial.checkpoint is not None
    folder, request, telling = Path(trial.checkpoint), trial.request, Telling(trial, tell)
    bundle = Bundle.open(Path(trial.model))
    manifest = bundle.manifest
    device = _device(request.compute_units == "cpu-only")
    dtype = torch.float32 if device == "cpu" else torch.float16
    files = [file for name in NETWORKS for file in (folder / name).glob("*")]
    weights = [file for file in files if file.suffix in (".safetensors", ".bin")]
    pipeline: Any = None

    def load() -> None:
        nonlocal pipeline
        pipeline = _pipeline(folder, dtype).to(device)

    telling.at("loading, for the first time")
    forget(weights)
    cold = timed_load(load, weights)
    pipeline.tokenizer.model_max_length = manifest.token_length

    times: list[_Times] = []
    for _ in range(trial.repeat):
        telling.at("reading the prompt")
        rows, columns = manifest.height // manifest.scale, manifest.width // manifest.scale
        assert request.seed is not None
        noise = Noise(request.seed, request.rng, (1, manifest.latent_channels, rows, columns))
        pipeline.scheduler = make_scheduler(request.scheduler, read_scheduler_config(bundle), request.steps)
        clock = _Times(telling)
        watched = pipeline.unet.register_forward_pre_hook(clock.unet_called)
        image = pipeline(
            request.prompt,
            negative_prompt=request.negative_prompt,
            num_inference_steps=request.steps,
            guidance_scale=request.guidance_scale,
            width=manifest.width,
            height=manifest.height,
            latents=noise.latents.to(device, dtype),
            generator=noise.generator,
            callback_on_step_end=clock.step_ended,
        ).images[0]
        clock.ended = time.perf_counter()
        watched.remove()
        times.append(clock)
    memory, accelerator = peak_memory(), peak_accelerator_memory()

    telling.at("loading once more")
    pipeline = None
    gc.collect()
    warm = timed_load(load, weights)
    return Measurement(
        program="diffusers",
        runtime=f"diffusers {'fp32' if dtype == torch.float32 else 'fp16'} {device}",
        request=request,
        repeat=trial.repeat,
        start=start,
        cold=cold,
        warm=warm,
        text=median(each.text for each in times),
        steps=Steps.of([each.steps for each in times]),
        decode=median(each.decode for each in times),
        end_to_end=median(each.total for each in times),
        predict=None,
        memory=memory,
        accelerator_memory=accelerator,
        weights=sum(file.stat().st_size for file in weights),
        agreement=None if trial.picture is None else _agreement(image, Path(trial.picture)),
    )


class _Times:
    """When one picture's stages began: its steps begin with the UNet's first call."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self.began = time.perf_counter()
        self._stepping: float | None = None
        self._last = self.began
        self.ended = self.began
        self.steps: list[float] = []

    def unet_called(self, *_: object) -> None:
        if self._stepping is None:
            self._stepping = self._last = time.perf_counter()

    def step_ended(
        self, _pipeline: Any, _index: int, _timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        now = time.perf_counter()
        self.steps.append(now - self._last)
        self._last = now
        self._telling.step(self.steps[-1])
        return tensors

    @property
    def text(self) -> float:
        assert self._stepping is not None
        return self._stepping - self.began

    @property
    def decode(self) -> float:
        return self.ended - self._last

    @property
    def total(self) -> float:
        return self.ended - self.began


def _pipeline(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import StableDiffusionPipeline

    logging.getLogger("diffusers").setLevel(logging.ERROR)
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder,
            torch_dtype=dtype,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=True,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise MeasurementError(
            f"diffusers cannot load {folder}",
            first or type(error).__name__,
            "give the folder it was saved to",
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _device(cpu_only: bool) -> str:
    if not cpu_only and torch.cuda.is_available():
        return "cuda"
    return "mps" if not cpu_only and torch.backends.mps.is_available() else "cpu"


def _agreement(image: Image.Image, ours: Path) -> float:
    """PSNR in dB between 8-bit pictures."""
    with Image.open(ours) as picture:
        reference = np.asarray(picture, np.float32)
    found = np.asarray(image, np.float32)
    if found.shape != reference.shape:
        return -EQUAL
    return max(-EQUAL, min(EQUAL, psnr(reference, found)))
