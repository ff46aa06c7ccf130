"""One case measured: diffusers' picture, ours, and how far apart they are."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sdtui.bundle import Bundle
from sdtui.conversion import ComputePrecision
from sdtui.convert.accuracy import psnr
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import Control, GenerationRequest
from tests.diffusion import schedulers
from tests.diffusion.parity.cases import KINDS, PIPELINES, STEPS, Case
from tests.diffusion.parity.models import CONTROLNETS, FAMILIES, Model, bundle
from tests.diffusion.pictured import photo, right_half, save

LEAST: dict[ComputePrecision, float] = {"fp32": 50.0, "fp16": 35.0}
"""dB that a case must reach, by what the bundle's weights are stored in."""

BEGINNING = GenerationRequest(
    prompt="a red apple",
    negative_prompt="green pear",
    steps=STEPS,
    guidance_scale=5.0,
    seed=7,
    strength=0.6,
    compute_units="cpu-only",
    precision="fp32",
)


class Workshop:
    """Models of all families in ``folder``, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipelines: dict[tuple[str, ComputePrecision], Pipeline] = {}
        self._models: dict[str, Model] = {}
        self._references: dict[Case, Image.Image] = {}

    def model(self, family: str) -> Model:
        """diffusers' side of it."""
        if family not in self._models:
            self._models[family] = FAMILIES[family](self._folder / family)
        return self._models[family]

    def pipeline(self, family: str, precision: ComputePrecision) -> Pipeline:
        """Our side of it, its weights stored in ``precision`` and run in fp32."""
        key = family, precision
        if key not in self._pipelines:
            folder = bundle(self.model(family), self._folder / family, precision)
            self._pipelines[key] = Pipeline(Bundle.open(folder), "cpu-only", "fp32")
        return self._pipelines[key]

    def decibels(self, case: Case, precision: ComputePrecision = "fp32") -> float:
        """PSNR in dB between the 8-bit pictures of both, the peak being 255."""
        request = BEGINNING.replace(scheduler=case.scheduler, **self._pictures(case), **dict(case.changes))
        ours = self.pipeline(case.family, precision).generate(request).image
        return decibels(self._reference(case, request), ours)

    def close(self) -> None:
        """Give the memory back."""
        while self._pipelines:
            self._pipelines.popitem()[1].close()

    def _pictures(self, case: Case) -> dict[str, Any]:
        pictures: dict[str, Any] = {name: self._files[name] for name in NEEDED[case.task.split()[-1]]}
        if case.task.startswith("control"):
            pictures["controls"] = tuple(
                Control(name=name, image=self._files[name], weight=weight, start=start, end=end)
                for name, weight, start, end in FOLLOWED
            )
        return pictures

    @cached_property
    def _files(self) -> dict[str, str]:
        return save(self._folder, image=photo(), mask=right_half(), **FOLLOWED_PICTURES)

    def _reference(self, case: Case, request: GenerationRequest) -> Image.Image:
        if case not in self._references:
            self._references[case] = reference(self.model(case.family), case, request)
        return self._references[case]


NEEDED = {"text": (), "control": (), "image": ("image",), "inpaint": ("image", "mask")}
"""The pictures that a task begins with, as a request calls them."""

FOLLOWED = (("edges", 0.8, 0.0, 0.7), ("pose", 0.5, 0.3, 1.0))
"""ControlNets: name, weight, start and end."""
FOLLOWED_PICTURES = {name: photo(seed) for seed, name in enumerate(CONTROLNETS, start=1)}


def reference(model: Model, case: Case, request: GenerationRequest) -> Any:
    """diffusers' own picture of ``request``."""
    generator = torch.Generator().manual_seed(request.seed or 0)
    asked: dict[str, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt or None,
        "num_inference_steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "generator": generator,
        **model.call,
        **schedulers.STEP_OPTIONS.get(request.scheduler, {}),
    }
    kind = PIPELINES.get((KINDS[case.family], case.task), type(model.pipeline))
    pipeline = _walking(kind, model.pipeline, model, request)
    if request.scheduler == "flow-lcm":  # SD3's pipelines let it draw noise that cannot be repeated
        pipeline.scheduler.step = partial(pipeline.scheduler.step, generator=generator)
    if request.image is not None:
        asked |= {"image": photo(), "strength": request.strength}
    if request.mask is not None:
        asked["mask_image"] = right_half()
    if request.controls:
        pictures = [FOLLOWED_PICTURES[control.name] for control in request.controls]
        asked["control_image" if request.image is not None else "image"] = pictures
        asked |= {
            "controlnet_conditioning_scale": [control.weight for control in request.controls],
            "control_guidance_start": [control.start for control in request.controls],
            "control_guidance_end": [control.end for control in request.controls],
        }
    if (KINDS[case.family], case.task) == ("sd3", "inpaint"):
        return _decoded(pipeline, pipeline(**asked, output_type="latent").images)
    if model.refiner is None or request.refiner_start == 1:
        return pipeline(**asked).images[0]
    latents = pipeline(**asked, denoising_end=request.refiner_start, output_type="latent").images
    refiner = _walking(type(model.refiner), model.refiner, model, request)
    return refiner(**asked, denoising_start=request.refiner_start, image=latents).images[0]


def _walking(kind: Any, pipeline: Any, model: Model, request: GenerationRequest) -> Any:
    """A pipeline of this kind with the networks of ``pipeline`` and the request's scheduler."""
    scheduler = schedulers.theirs(request.scheduler, model.scheduler_config)
    more = {"controlnet": list(model.controlnets.values())} if model.controlnets else {}
    made = kind.from_pipe(pipeline, scheduler=scheduler, **more)
    made.set_progress_bar_config(disable=True)
    return made


def _decoded(pipeline: Any, latents: torch.Tensor) -> Any:
    """The picture of SD3's latents: its inpainting pipeline forgets the VAE's shift, the others do not."""
    config = pipeline.vae.config
    with torch.no_grad():
        image = pipeline.vae.decode(latents / config.scaling_factor + config.shift_factor).sample
    return pipeline.image_processor.postprocess(image)[0]


def decibels(expected: Image.Image, found: Image.Image) -> float:
    """PSNR of two pictures of one size."""
    assert found.size == expected.size
    return psnr(np.asarray(expected, np.float32), np.asarray(found, np.float32))
