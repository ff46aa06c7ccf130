"""Imitated Macs, and the network that is run on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sdtui.runtime import Profile
from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.apple.macos import MacOS

SEQUOIA = MacOS("15.1", "24B83")
UPDATED = MacOS("15.2", "24C101")
SPLIT = Profile("unet", "sd", 512, 512, "SPLIT_EINSUM")
X = np.arange(16, dtype=np.float32).reshape(1, 16)

Opener = Callable[..., AppleNetwork]


def run(network: AppleNetwork) -> None:
    assert np.array_equal(network.predict({"input_0": X})["sum"], 3 * X)
