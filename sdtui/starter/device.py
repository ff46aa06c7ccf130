"""Where the recipe computes: on a CUDA device where there is one, else on the processor.

Random numbers are drawn where they are used, so the two kinds of devices train on different ones.
"""

from __future__ import annotations

import torch


def use_best() -> None:
    """Let new tensors and networks be on the best device from now on."""
    if torch.cuda.is_available():
        torch.set_default_device("cuda")


def current() -> torch.device:
    """The device of new tensors."""
    return torch.get_default_device()


def generator(seed: int) -> torch.Generator:
    """A seeded source of random numbers for tensors of this device."""
    return torch.Generator(device=current()).manual_seed(seed)


def mixed_precision() -> torch.autocast:
    """A context in which networks compute in bfloat16."""
    return torch.autocast(current().type, torch.bfloat16)
