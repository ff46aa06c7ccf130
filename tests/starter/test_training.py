"""The stages on a few sketches: each trains, goes on, and gives the next what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler

from sdtui.starter.artwork import prepare
from sdtui.starter.checkpoint import load
from sdtui.starter.config import STYLES, PoolConfig, TextConfig, UnetConfig, VaeConfig
from sdtui.starter.networks import build_text_encoder, build_unet, build_vae
from sdtui.starter.sampling import SCHEDULER, denoiser
from sdtui.starter.scene import Scene, Thing, boxes
from sdtui.starter.train import STAGES, train
from sdtui.starter.train_edges import edge_map
from sdtui.starter.train_few import ddim_step, velocity_between
from sdtui.starter.train_style import pixelated
from sdtui.starter.train_text import components
from sdtui.starter.train_unet import Material, load_unet, velocity_loss
from sdtui.starter.train_vae import crops, psnr
from tests.starter.sketches import NAMES, sketch

TEXT = TextConfig(width=32, layers=1, heads=2, vocabulary=600)
UNET = UnetConfig(block_out_channels=(32, 32, 64), heads=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small only lose time to a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_few_steps_bring_the_loss_down() -> None:
    torch.manual_seed(0)
    unet = build_unet(UNET, TEXT)
    optimizer = torch.optim.AdamW(unet.parameters(), 2e-3)
    latents, noise = torch.randn(4, 8, 8, 8), torch.randn(4, 8, 8, 8)
    states, timesteps = torch.randn(4, 77, 32), torch.tensor([10, 300, 600, 999])
    losses = []
    for _ in range(8):
        loss = velocity_loss(denoiser(unet), latents, states, timesteps, noise).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_the_networks_fit_together() -> None:
    vae = build_vae(VaeConfig(block_out_channels=(8, 8, 16, 16)))
    with torch.inference_mode():
        latents = vae.encode(torch.zeros(1, 3, 128, 128)).latent_dist
        assert latents.mean.shape == (1, 8, 16, 16)
        assert float(latents.logvar.mean()) < -4  # little noise at first, or the decoder ignores it
        assert vae.decode(latents.mean).sample.shape == (1, 3, 128, 128)
        states = build_text_encoder(TEXT, 1, 2)(torch.ones(1, 77, dtype=torch.long)).last_hidden_state
        assert build_unet(UNET, TEXT)(latents.mean, 5, states).sample.shape == (1, 8, 16, 16)


def test_a_run_that_goes_on_finds_the_same_components(tmp_path: Path) -> None:
    sketch(tmp_path)
    once = components(prepare(tmp_path), 5)
    torch.rand(3)
    assert torch.equal(components(prepare(tmp_path), 5), once)
    assert once.shape == (len(NAMES), len(STYLES), 5)


def test_psnr_of_a_known_error() -> None:
    assert round(psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)), 3) == 20.0


def test_crops_are_cut_along_latents_and_show_a_thing() -> None:
    across = torch.arange(128.0).expand(3, 128, 128)
    scenes = [Scene((Thing(0, "small"),), place, 0, 0) for place in ("left", "right") for _ in range(8)]
    pictures = across.expand(16, 3, 128, 128)
    cut = crops(pictures, scenes, 64, torch.Generator().manual_seed(1))
    assert cut.shape == (16, 3, 64, 64)
    first = cut[:, 0, 0, 0]
    assert (first % 8 == 0).all()
    for scene, left in zip(scenes, first.tolist(), strict=True):
        (box,) = boxes(scene)
        assert left <= box.x * 128 <= left + 64


def test_edges_are_where_the_colour_changes_and_nowhere_else() -> None:
    picture = torch.zeros(1, 3, 32, 32)
    picture[:, 1, :, 16:] = 1.0
    edges = edge_map(picture)
    assert edges.shape == picture.shape
    assert {*edges[0, 0].nonzero()[:, 1].tolist()} == {15, 16}


def test_pixel_art_has_blocks_and_few_shades() -> None:
    art = pixelated(torch.rand(1, 3, 32, 32) * 2 - 1)
    assert torch.equal(art[..., ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3), art)
    assert len({*art.flatten().tolist()}) <= 7


def test_the_velocity_between_two_places_leads_from_one_to_the_other() -> None:
    latents, velocity = torch.randn(2, 3, 8, 16, 16).double().unbind()
    here, there = torch.tensor([999, 749, 249]), torch.tensor([749, 700, -1])
    arrived = ddim_step(latents, velocity, here, there)
    assert torch.allclose(velocity_between(latents, arrived, here, there), velocity, atol=1e-4)


def test_a_ddim_step_is_that_of_diffusers() -> None:
    scheduler = DDIMScheduler(**{**SCHEDULER, "timestep_spacing": "trailing"})
    scheduler.set_timesteps(4)
    latents, velocity = torch.randn(2, 1, 8, 16, 16).unbind()
    for here, there in ((999, 749), (749, 499), (249, -1)):
        known = scheduler.step(velocity, here, latents).prev_sample
        step = ddim_step(latents, velocity, torch.tensor([here]), torch.tensor([there]))
        assert torch.allclose(step, known, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_recipe_runs_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the size that ships, two steps of a stage, on sketches. What it draws is noise."""
    monkeypatch.setattr("sdtui.starter.train_unet.PoolConfig", lambda: PoolConfig(shard=16, first=1))
    monkeypatch.setattr("sdtui.starter.train_unet._TRIAL", 2)
    monkeypatch.setattr("sdtui.starter.train_judge._HELD", 4)
    sketch(tmp_path)
    for stage, config in STAGES.items():
        monkeypatch.setitem(STAGES, stage, replace(config, batch=4))
        train(stage, tmp_path, steps=1)
        train(stage, tmp_path, steps=2)
        state = load(tmp_path / f"{stage}.pt")
        assert state is not None
        assert state["step"] == 2
    material = Material(tmp_path)
    assert (tmp_path / "controlnet-edges" / "config.json").exists()
    assert (tmp_path / "pixel-art.safetensors").exists()
    latents, states = material.batch(0, 3, torch.Generator().manual_seed(1))
    assert load_unet(tmp_path)(latents, 500, states).sample.shape == latents.shape
    assert 0.7 < float(latents.std()) < 1.4
