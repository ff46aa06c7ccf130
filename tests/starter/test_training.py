"""A step of the denoiser's training, on networks of a few thousand numbers."""

from __future__ import annotations

from pathlib import Path
from pickle import PicklingError

import pytest
import torch

from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import TextConfig, UnetConfig, VaeConfig
from sdtui.starter.networks import build_text_encoder, build_unet, build_vae
from sdtui.starter.train_unet import velocity_loss
from sdtui.starter.train_vae import psnr

TEXT = TextConfig(width=32, layers=1, heads=2, vocabulary=600)
UNET = UnetConfig(block_out_channels=(32, 64), heads=2)


def test_a_few_steps_bring_the_loss_down() -> None:
    torch.manual_seed(0)
    unet = build_unet(UNET, TEXT)
    optimizer = torch.optim.AdamW(unet.parameters(), 2e-3)
    latents, noise = torch.randn(4, 16, 8, 8), torch.randn(4, 16, 8, 8)
    states, timesteps = torch.randn(4, 77, 32), torch.tensor([10, 300, 600, 999])
    losses = []
    for _ in range(8):
        loss = velocity_loss(unet, latents, states, timesteps, noise).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_the_networks_fit_together() -> None:
    vae = build_vae(VaeConfig(block_out_channels=(8, 8, 16, 16)))
    with torch.inference_mode():
        latents = vae.encode(torch.zeros(1, 3, 64, 64)).latent_dist
        assert latents.mean.shape == (1, 16, 8, 8)
        assert float(latents.logvar.mean()) < -4  # little noise at first, or the decoder ignores it
        assert vae.decode(latents.mean).sample.shape == (1, 3, 64, 64)
        states = build_text_encoder(TEXT, 1, 2)(torch.ones(1, 77, dtype=torch.long)).last_hidden_state
        assert build_unet(UNET, TEXT)(latents.mean, 5, states).sample.shape == (1, 16, 8, 8)


def test_an_interrupted_save_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "stage.pt"
    assert load(path) is None
    save(path, {"step": 1})
    with pytest.raises((AttributeError, PicklingError)):
        save(path, {"step": lambda: 2})
    state = load(path)
    assert state == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["stage.pt"]


def test_psnr_of_a_known_error() -> None:
    assert round(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)), 3) == 20.0
