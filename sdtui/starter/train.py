"""``python -m sdtui.starter.train STAGE``: train one stage, or go on with it.

SIGTERM ends it with a checkpoint and exit status 3; while a file named PAUSE lies in the working folder
it waits. In both cases nothing is lost. A CUDA device is used where there is one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch

from sdtui.starter import device
from sdtui.starter.config import (
    DecoderConfig,
    EdgesConfig,
    FewConfig,
    JudgeConfig,
    StyleConfig,
    TextConfig,
    UnetConfig,
    VaeConfig,
)

Config = (
    TextConfig | VaeConfig | UnetConfig | DecoderConfig | EdgesConfig | StyleConfig | FewConfig | JudgeConfig
)

STAGES: dict[str, Config] = {
    "text": TextConfig(),
    "vae": VaeConfig(),
    "unet": UnetConfig(),
    "decoder": DecoderConfig(),
    "edges": EdgesConfig(),
    "style": StyleConfig(),
    "few": FewConfig(),
    "judge": JudgeConfig(),
}
"""The stages in their order, each a module ``train_STAGE`` with a function of that name."""


def train(stage: str, work: Path, steps: int | None = None, batch: int | None = None) -> None:
    """Train a stage, of so many steps and with so much in a step where that is given.

    Raises :class:`~sdtui.starter.loop.Stopped`.
    """
    config = STAGES[stage]
    config = replace(config, steps=config.steps if steps is None else steps)
    config = replace(config, batch=config.batch if batch is None else batch)
    module = import_module(f"sdtui.starter.train_{stage}")
    getattr(module, f"train_{stage}")(work, config)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.train", description=__doc__)
    parser.add_argument("stage", choices=tuple(STAGES))
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    parser.add_argument("--steps", type=int, help="how many steps the stage has, all runs of it together")
    parser.add_argument("--batch", type=int, help="how much a step looks at")
    parser.add_argument("--threads", type=int, help="processor threads, default all")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device.use_best()
    train(arguments.stage, arguments.work, arguments.steps, arguments.batch)


if __name__ == "__main__":
    main()
