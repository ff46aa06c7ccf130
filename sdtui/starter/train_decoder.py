"""Stage 4: the decoder alone, from the latents it will be given.

The encoder stands still, so the denoiser stays right. Half of each batch has passed through the
denoiser, so that the decoder learns to undo its blur.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sdtui.starter import device, loop
from sdtui.starter.config import DecoderConfig
from sdtui.starter.sampling import denoiser
from sdtui.starter.train_unet import Material, alphas_cumprod, load_unet
from sdtui.starter.train_vae import likeness_loss, psnr


def train_decoder(work: Path, config: DecoderConfig) -> None:
    """Train, or go on."""
    torch.manual_seed(config.seed)
    material = Material(work)
    vae = material.vae
    denoise = denoiser(load_unet(work))
    factor = material.pool.scale.factor
    for module in (vae.decoder, vae.post_quant_conv):
        module.requires_grad_(True)
    half = config.batch // 2

    def loss(_step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        drawn = material.rendered(config.batch, generator)
        pictures, latents = drawn.pictures, drawn.latents
        states = material.words.of(drawn.scenes[:half], material.grammar, generator)
        timesteps = torch.randint(config.latest_timestep, (half,), generator=generator)
        kept = alphas_cumprod()[timesteps][:, None, None, None]
        noise = torch.randn(latents[:half].shape, generator=generator)
        noisy = kept.sqrt() * latents[:half] + (1.0 - kept).sqrt() * noise
        with torch.no_grad():
            velocity = denoise(noisy, timesteps, states)
        latents[:half] = kept.sqrt() * noisy - (1.0 - kept).sqrt() * velocity
        latents = latents.contiguous(memory_format=torch.channels_last)
        with device.mixed_precision():
            output = vae.decoder(vae.post_quant_conv(latents / factor)).float()
        figures = {
            "redrawn": psnr(output[:half], pictures[:half]),
            "encoded": psnr(output[half:], pictures[half:]),
        }
        return likeness_loss(output, pictures, config.edge_weight), figures

    loop.run(
        loop.Stage(
            name="decoder",
            modules={"model": vae},
            schedule=loop.Schedule(config.steps, config.learning_rate, decay_from=0.3),
            loss=loss,
            weight_decay=0.0,
            seed=config.seed,
        ),
        work,
    )
