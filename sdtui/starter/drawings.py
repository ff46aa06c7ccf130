"""What the denoiser really draws, for the decoder to learn from.

Guidance exaggerates: at the scales that people use, the latents of a drawing are more contrasted than
those of any picture. Each drawing is paired with the picture that was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import DecoderConfig, UnetConfig
from sdtui.starter.latents import CaptionSet, LatentSet
from sdtui.starter.trial import sample

_TOGETHER = 64


@dataclass(frozen=True)
class Drawings:
    """Drawn latents and the pictures that were meant."""

    latents: torch.Tensor
    """float16, (drawings, 16, 8, 8)"""
    subject: torch.Tensor
    background: torch.Tensor
    variant: torch.Tensor
    """The variant that the drawing is nearest to; int64, (drawings,)."""


def prepare_drawings(
    work: Path,
    unet: UNet2DConditionModel,
    pictures: LatentSet,
    captions: CaptionSet,
    config: DecoderConfig,
) -> Drawings:
    """Draw, keep what is recognisable, or read the result of an earlier run."""
    path = work / "drawings.pt"
    state = load(path)
    if state is None:
        state = _draw(unet, pictures, captions, config)
        save(path, state)
    return Drawings(**state)


@torch.inference_mode()
def _draw(
    unet: UNet2DConditionModel, pictures: LatentSet, captions: CaptionSet, config: DecoderConfig
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(config.seed)
    subjects, backgrounds = pictures.latents.shape[:2]
    variants = torch.tensor(UnetConfig().variant_weights).nonzero()[:, 0]
    known = pictures.latents[:, :, variants]

    def denoise(noisy: torch.Tensor, timesteps: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            predicted: torch.Tensor = unet(noisy, timesteps, states).sample
        return predicted.float()

    kept: list[tuple[torch.Tensor, int, int, int]] = []
    for batch in range(-(-config.drawings // _TOGETHER)):
        subject = torch.randint(subjects, (_TOGETHER,), generator=generator)
        background = torch.randint(backgrounds, (_TOGETHER,), generator=generator)
        text = torch.randint(captions.states.shape[2], (_TOGETHER,), generator=generator)
        low, high = config.guidance
        drawn = sample(
            denoise,
            captions.states[subject, background, text].float(),
            captions.empty.float(),
            config.drawing_steps,
            low + (high - low) * torch.rand(_TOGETHER, 1, 1, 1, generator=generator),
            seed=config.seed * 1000 + batch,
        )
        for latents, wanted, colour in zip(drawn, subject.tolist(), background.tolist(), strict=True):
            distance = (known[:, colour].float() - latents).square().mean((2, 3, 4))
            found = int(distance.amin(1).argmin())
            if found == wanted:
                nearest = int(variants[distance[wanted].argmin()])
                kept.append((latents.half(), wanted, colour, nearest))
        if batch % 10 == 9:
            print(f"drawings: {len(kept)} of {(batch + 1) * _TOGETHER} are what was meant", flush=True)
    return {
        "latents": torch.stack([latents for latents, _, _, _ in kept]),
        "subject": torch.tensor([subject for _, subject, _, _ in kept]),
        "background": torch.tensor([background for _, _, background, _ in kept]),
        "variant": torch.tensor([variant for _, _, _, variant in kept]),
    }
