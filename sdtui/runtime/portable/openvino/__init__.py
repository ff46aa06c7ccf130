"""The same programs run by OpenVINO, the quickest there is on a processor, where it is installed.

It is left what runs once a step. Compiling takes longer than torch's own preparation, which a text
encoder or a decoder, run once a picture, would not win back.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.util import find_spec

import torch

_WORTH_COMPILING = 1 << 26
"""Bytes of weights. A small network has run several times with torch before it is compiled here."""
_STEPPED = {"timestep", "noise_pred"}
"""Inputs and outputs by which denoisers, their second halves and ControlNets are known."""


def suits(device: torch.device, weight_bytes: int, names: Iterable[str]) -> bool:
    """Whether a network is better run by OpenVINO: ``names`` are its inputs and outputs.

    Only x86 has been measured.
    """
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    stepped = not _STEPPED.isdisjoint(names)
    return stepped and weight_bytes >= _WORTH_COMPILING and find_spec("openvino") is not None
