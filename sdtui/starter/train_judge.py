"""The judge's training: real pictures of every combination, also those kept from the model."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from sdtui.starter import device, loop
from sdtui.starter.artwork import Artwork, prepare
from sdtui.starter.config import PIXELS, JudgeConfig
from sdtui.starter.judge import CELLS, JudgeNetwork, mark, rates, read, targets
from sdtui.starter.render import jittered, paint, to_tensor
from sdtui.starter.scene import Scene, SceneSource

_HELD = 256


def train_judge(work: Path, config: JudgeConfig) -> None:
    """Train, or go on."""
    torch.manual_seed(config.seed)
    artwork = prepare(work)
    network = JudgeNetwork(len(artwork), config)

    def loss(_step: int, generator: torch.Generator) -> tuple[torch.Tensor, loop.Metrics]:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        _, pictures, subjects, styles, backgrounds = examples(artwork, config.batch, seed)
        # What is drawn is never as sharp and as clean as what is real.
        pictures = pictures + 0.05 * torch.randn(pictures.shape, generator=generator)
        if torch.rand((), generator=generator) < 0.5:
            small = functional.avg_pool2d(pictures, 2)
            pictures = functional.interpolate(small, scale_factor=2, mode="bilinear")
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with device.mixed_precision():
            what, how, behind = (logits.float() for logits in network(pictures))
        subject = functional.cross_entropy(what, subjects)
        style = functional.cross_entropy(how, styles)
        background = functional.cross_entropy(behind, backgrounds[:, None, None].expand(-1, CELLS, CELLS))
        figures = {"subject": subject.item(), "style": style.item(), "background": background.item()}
        return subject + 0.3 * style + 0.3 * background, figures

    @torch.inference_mode()
    def report(_step: int) -> str:
        network.eval()
        scenes, pictures, *_ = examples(artwork, _HELD, seed=99)
        verdicts = [each for part in torch.split(pictures, 32) for each in read(*network(part))]
        network.train()
        marks = [mark(scene, verdict) for scene, verdict in zip(scenes, verdicts, strict=True)]
        return " ".join(f"{name} {rate:.1%}" for name, rate in rates(marks).items())

    loop.run(
        loop.Stage(
            name="judge",
            modules={"model": network},
            schedule=loop.Schedule(config.steps, config.learning_rate),
            loss=loss,
            report=report,
            seed=config.seed,
        ),
        work,
    )


def examples(
    artwork: Artwork, count: int, seed: int
) -> tuple[list[Scene], torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scenes, pictures (count, 3, 128, 128), cells' subjects and styles (count, 8, 8), backgrounds."""
    chosen, places = random.Random(seed), np.random.default_rng(seed)
    source = SceneSource(len(artwork))
    scenes = [source.any(chosen) for _ in range(count)]
    where = [jittered(scene, places) for scene in scenes]
    pictures = to_tensor(
        [paint(scene, at, artwork, PIXELS, places) for scene, at in zip(scenes, where, strict=True)]
    )
    cells = [targets(scene, at, len(artwork)) for scene, at in zip(scenes, where, strict=True)]
    subjects, styles = (
        torch.from_numpy(np.stack(table)).to(device.current()) for table in zip(*cells, strict=True)
    )
    return scenes, pictures, subjects, styles, torch.tensor([scene.background for scene in scenes])
