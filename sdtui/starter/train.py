"""``python -m sdtui.starter.train vae|text|unet|decoder``: train one stage, or go on with it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from sdtui.starter.config import DecoderConfig, TextConfig, UnetConfig, VaeConfig


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.train", description=__doc__)
    parser.add_argument("stage", choices=("vae", "text", "unet", "decoder"))
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    parser.add_argument("--minutes", type=float, help="training time of this stage")
    parser.add_argument("--threads", type=int, help="processor threads, default all")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    changes = {} if arguments.minutes is None else {"minutes": arguments.minutes}
    if arguments.stage == "vae":
        from sdtui.starter.train_vae import train_vae

        train_vae(arguments.work, replace(VaeConfig(), **changes))
    elif arguments.stage == "text":
        from sdtui.starter.train_text import train_text

        train_text(arguments.work, replace(TextConfig(), **changes))
    elif arguments.stage == "unet":
        from sdtui.starter.train_unet import train_unet

        train_unet(arguments.work, replace(UnetConfig(), **changes))
    else:
        from sdtui.starter.train_decoder import train_decoder

        train_decoder(arguments.work, replace(DecoderConfig(), **changes))


if __name__ == "__main__":
    main()
