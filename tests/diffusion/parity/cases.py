"""What is compared: families by tasks by schedulers. A row more is a line more here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from diffusers import (
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
)

from sdtui.request import Scheduler
from tests.diffusion.parity.models import FAMILIES
from tests.diffusion.schedulers import DIFFUSING, FLOWING

Task = Literal["text", "image", "inpaint", "control", "control image", "control inpaint"]
STEPS = 6


@dataclass(frozen=True)
class Case:
    """One comparison: what a request has beside its prompt and seed."""

    family: str
    task: Task
    scheduler: Scheduler
    changes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        changed = (f"{name}={value}" for name, value in self.changes)
        return " ".join((self.family, self.task, self.scheduler, *changed))


PIPELINES: Mapping[tuple[str, Task], Any] = {
    ("sd", "image"): StableDiffusionImg2ImgPipeline,
    ("sd", "inpaint"): StableDiffusionInpaintPipeline,
    ("sd", "control"): StableDiffusionControlNetPipeline,
    ("sd", "control image"): StableDiffusionControlNetImg2ImgPipeline,
    ("sd", "control inpaint"): StableDiffusionControlNetInpaintPipeline,
    ("sdxl", "image"): StableDiffusionXLImg2ImgPipeline,
    ("sdxl", "inpaint"): StableDiffusionXLInpaintPipeline,
    ("sdxl", "control"): StableDiffusionXLControlNetPipeline,
    ("sdxl", "control image"): StableDiffusionXLControlNetImg2ImgPipeline,
    ("sdxl", "control inpaint"): StableDiffusionXLControlNetInpaintPipeline,
    ("sd3", "image"): StableDiffusion3Img2ImgPipeline,
    ("sd3", "inpaint"): StableDiffusion3InpaintPipeline,
}
"""diffusers' pipelines for tasks other than text to image, by the kind of the family."""

KINDS: Mapping[str, str] = {
    "sd": "sd",
    "sd-v": "sd",
    "sd-inpainting": "sd",
    "sd+controlnets": "sd",
    "lcm": "sd",
    "sdxl": "sdxl",
    "sdxl-inpainting": "sdxl",
    "sdxl+controlnets": "sdxl",
    "sdxl+refiner": "sdxl",
    "sd3": "sd3",
    "sd3+t5": "sd3",
}


def every_case() -> Iterator[Case]:
    """The whole matrix."""
    for family in FAMILIES:
        for task in tasks(family):
            for scheduler in FLOWING if KINDS[family] == "sd3" else DIFFUSING:
                if not (task != "text" and scheduler in TEXT_ONLY):
                    yield Case(family, task, scheduler)


def tasks(family: str) -> tuple[Task, ...]:
    """diffusers hands a picture over from one model to the other only where it starts from text."""
    if family == "sdxl+refiner":
        return ("text",)
    if family.endswith("-inpainting"):
        return ("inpaint",)
    if family.endswith("+controlnets"):
        return ("control", "control image", "control inpaint")
    return ("text", "image", "inpaint")


TEXT_ONLY: tuple[Scheduler, ...] = ("flow-dpm++2m", "flow-unipc")
"""What diffusers' SD3 pipelines cannot start from a picture with: ours can."""

_BASE = ("refiner_start", 1.0)
"""SDXL without the refiner that it has."""

CHOSEN: tuple[Case, ...] = (
    Case("lcm", "text", "lcm"),
    Case("lcm", "text", "lcm", (("guidance_scale", 0.0),)),
    Case("sdxl+refiner", "text", "dpm++2m-karras", (_BASE,)),
    Case("sdxl+refiner", "text", "euler", (_BASE, ("negative_prompt", ""))),
    Case("sdxl+refiner", "text", "euler-a", (_BASE, ("guidance_scale", 1.0))),
    Case("sdxl+refiner", "image", "unipc", (_BASE,)),
    Case("sdxl+refiner", "inpaint", "euler", (_BASE,)),
    Case("sdxl+controlnets", "control", "euler"),
    Case("sdxl+controlnets", "control inpaint", "ddim"),
    Case("sdxl+refiner", "text", "euler"),
    Case("sdxl+refiner", "text", "dpm++2m", (("negative_prompt", ""), ("refiner_start", 0.5))),
    Case("sdxl+refiner", "text", "heun"),
    Case("sd3+t5", "text", "flow-euler"),
    Case("sd3+t5", "text", "flow-dpm++2m", (("negative_prompt", ""),)),
    Case("sd3+t5", "image", "flow-heun"),
    Case("sd3+t5", "inpaint", "flow-euler"),
)
"""Some of the families that the tiny model of the other tests is not of, for every run of them."""
