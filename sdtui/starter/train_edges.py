"""Beside the model: a ControlNet that has the denoiser follow the edges of a picture."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ControlNetModel
from torch.nn import functional

from sdtui.starter import device, loop
from sdtui.starter.config import EdgesConfig
from sdtui.starter.sampling import Denoise
from sdtui.starter.train_unet import Material, load_unet, spread_timesteps, velocity_loss

FOLDER = "controlnet-edges"
"""Where the finished ControlNet is written in the working folder, as diffusers reads it."""
_STEEP = 0.25
"""So much change from pixel to pixel, of -1..1, is an edge."""


def edge_map(pictures: torch.Tensor) -> torch.Tensor:
    """White edges on black, 0 or 1, (n, 3, h, w), of pictures (n, 3, h, w) in -1..1.

    An edge is where Sobel's operator finds a steep change in any channel.
    """
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8.0
    kernels = torch.stack([across, across.T])[:, None].to(pictures)
    planes = functional.pad(pictures.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    steepness = functional.conv2d(planes, kernels).square().sum(1).sqrt()
    steepest = steepness.view(pictures.shape).amax(1, keepdim=True)
    return (steepest > _STEEP).to(pictures.dtype).expand_as(pictures)


def train_edges(work: Path, config: EdgesConfig) -> None:
    """Train, or go on; at the end the ControlNet lies in ``controlnet-edges``."""
    torch.manual_seed(config.seed)
    material = Material(work)
    unet = load_unet(work)
    control = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=config.embedding_channels
    ).requires_grad_(True)

    def following(edges: torch.Tensor) -> Denoise:
        def denoise(noisy: torch.Tensor, timesteps: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
            with device.mixed_precision():
                skips, middle = control(noisy, timesteps, states, controlnet_cond=edges, return_dict=False)
                predicted: torch.Tensor = unet(
                    noisy,
                    timesteps,
                    states,
                    down_block_additional_residuals=skips,
                    mid_block_additional_residual=middle,
                ).sample
            return predicted.float()

        return denoise

    def loss(_step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        drawn = material.rendered(config.batch, generator)
        # Without a caption now and then, so that the edges have to be looked at.
        states = material.words.of(drawn.scenes, material.grammar, generator, empty=0.3)
        noise = torch.randn(drawn.latents.shape, generator=generator)
        timesteps = spread_timesteps(config.batch, generator)
        denoise = following(edge_map(drawn.pictures))
        error = velocity_loss(denoise, drawn.latents, states, timesteps, noise).mean()
        return error, {"loss": error.item()}

    schedule = loop.Schedule(config.steps, config.learning_rate)
    loop.run(loop.Stage("edges", {"model": control}, schedule, loss, seed=config.seed), work)
    control.save_pretrained(work / FOLDER)
