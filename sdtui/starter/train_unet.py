"""Stage 3: the denoiser, on encoded pictures and the text encoder's words, predicting v."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch.nn import functional

from sdtui.starter import device, loop
from sdtui.starter.artwork import prepare
from sdtui.starter.captions import Grammar
from sdtui.starter.checkpoint import load, save
from sdtui.starter.config import (
    BETA_END,
    BETA_START,
    TRAIN_TIMESTEPS,
    PoolConfig,
    TextConfig,
    UnetConfig,
)
from sdtui.starter.networks import build_unet
from sdtui.starter.pool import Pool, encode
from sdtui.starter.render import random_pictures
from sdtui.starter.sampling import Denoise, decode, denoiser, sample, save_sheet
from sdtui.starter.scene import Scene, SceneSource
from sdtui.starter.train_text import load_text_encoder, token_ids
from sdtui.starter.train_vae import load_vae

_TRIAL = 32


def alphas_cumprod() -> torch.Tensor:
    """The part of the picture that is left at each training timestep, (1000,)."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TRAIN_TIMESTEPS) ** 2
    return torch.cumprod(1.0 - betas, 0)


def velocity_loss(
    denoise: Denoise,
    latents: torch.Tensor,
    states: torch.Tensor,
    timesteps: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Squared error of the predicted velocity, one number per picture, (n,)."""
    kept = alphas_cumprod()[timesteps][:, None, None, None]
    noisy = kept.sqrt() * latents + (1.0 - kept).sqrt() * noise
    velocity = kept.sqrt() * noise - (1.0 - kept).sqrt() * latents
    predicted = denoise(noisy.contiguous(memory_format=torch.channels_last), timesteps, states)
    return functional.mse_loss(predicted, velocity, reduction="none").mean((1, 2, 3))


def spread_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Random timesteps, one from every part of the range: the loss of a batch then says more."""
    parts = torch.arange(count) + torch.rand(count, generator=generator)
    return (parts * (TRAIN_TIMESTEPS / count)).long().clamp(max=TRAIN_TIMESTEPS - 1)


def load_unet(work: Path, stage: str = "unet") -> UNet2DConditionModel:
    """The denoiser that a stage has trained, ``unet`` or ``few``: its averaged weights, frozen."""
    state = load(work / f"{stage}.pt")
    if state is None:
        raise FileNotFoundError(f"{work / f'{stage}.pt'}: train the {stage} stage first")
    unet = build_unet(UnetConfig(), TextConfig())
    unet.load_state_dict(state["average"])
    return unet.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def is_milestone(step: int) -> bool:
    """Whether the weights of this step are kept for the learning curve: 500, 750, 1000, 1500, 2000, …"""
    while step % 2 == 0 and step > 1000:
        step //= 2
    return step in (500, 750, 1000)


class Words:
    """Captions as the denoiser is told them."""

    def __init__(self, work: Path) -> None:
        self.encoder, self.tokenizer = load_text_encoder(work)
        self.empty = self(("",))

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Hidden states, float32, (texts, 77, width)."""
        with device.mixed_precision():
            hidden: torch.Tensor = self.encoder(token_ids(self.tokenizer, texts)).last_hidden_state
        return hidden.float()

    def of(
        self, scenes: Sequence[Scene], grammar: Grammar, generator: torch.Generator, empty: float = 0.0
    ) -> torch.Tensor:
        """The same for random captions of scenes, some of them empty."""
        chosen = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
        return self(
            ["" if chosen.random() < empty else grammar.caption(scene, chosen).text for scene in scenes]
        )


@dataclass(frozen=True)
class Rendered:
    """Some pictures and what they are encoded to."""

    scenes: list[Scene]
    pictures: torch.Tensor
    """(n, 3, 128, 128) in -1..1"""
    latents: torch.Tensor
    """Scaled, (n, 8, 16, 16)."""


class Material:
    """Batches of encoded pictures and words; also what the stages after this one learn from."""

    def __init__(self, work: Path, empty_captions: float = 0.1) -> None:
        self.artwork = prepare(work)
        self.vae = load_vae(work)
        self.pool = Pool(work, PoolConfig(), self.vae, self.artwork)
        self.words = Words(work)
        self.grammar = Grammar(self.artwork.names, self.artwork.synonyms)
        self.scenes = SceneSource(len(self.artwork))
        self.empty_captions = empty_captions

    def batch(self, step: int, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Scaled latents (count, 8, 16, 16) and hidden states (count, 77, width)."""
        latents, scenes = self.pool.draw(step, count, generator)
        return latents, self.words.of(scenes, self.grammar, generator, self.empty_captions)

    def rendered(
        self,
        count: int,
        generator: torch.Generator,
        change: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Rendered:
        """Fresh pictures, changed if wanted before they are encoded."""
        scenes, pictures = random_pictures(self.artwork, self.scenes, count, generator)
        if change is not None:
            pictures = change(pictures)
        return Rendered(scenes, pictures, encode(self.vae, pictures) * self.pool.scale.factor)


def train_unet(work: Path, config: UnetConfig) -> None:
    """Train, or go on."""
    torch.manual_seed(config.seed)
    material = Material(work, config.empty_captions)
    unet = build_unet(config, TextConfig()).to(memory_format=torch.channels_last)
    average = loop.Average(unet, config.ema_decay)
    generator = random.Random(7)
    kinds = ("background", "place", "style", "pair")
    scenes = [material.scenes.unseen(kinds[number % len(kinds)], generator) for number in range(_TRIAL)]
    prompts = [material.grammar.plain(scene).text for scene in scenes]
    (work / "trial.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")

    def loss(step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        latents, states = material.batch(step, config.batch, generator)
        timesteps = spread_timesteps(config.batch, generator)
        noise = torch.randn(latents.shape, generator=generator)
        error = velocity_loss(denoiser(unet), latents, states, timesteps, noise)
        late, early = error[: config.batch // 2], error[config.batch // 2 :]
        return error.mean(), {
            "loss": error.mean().item(),
            "late": late.mean().item(),
            "early": early.mean().item(),
        }

    def report(step: int) -> str:
        drawing = build_unet(config, TextConfig()).eval()
        drawing.load_state_dict(average.weights)
        half = {name: tensor.half() for name, tensor in average.weights.items()}
        save(work / "milestones" / f"{step:06}.pt", {"average": half, "step": step})
        latents = sample(denoiser(drawing), material.words(prompts), material.words.empty, 20, 4.0, seed=1)
        pictures = decode(material.vae, latents, material.pool.scale.factor)
        save_sheet(pictures, work / "milestones" / f"{step:06}.png")
        return f"drew milestones/{step:06}.png"

    loop.run(
        loop.Stage(
            name="unet",
            modules={"model": unet},
            schedule=loop.Schedule(config.steps, config.learning_rate, warmup=200),
            loss=loss,
            report=report,
            reports=is_milestone,
            average=average,
            seed=config.seed,
        ),
        work,
    )
