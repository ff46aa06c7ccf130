"""Imported models have previews: the published colours of their family's latents."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from sdtui.bundle.latent_colours import published_colours
from sdtui.bundle.manifest import Family

SHOWN: Mapping[Family, tuple[str, ...]] = {
    "sd": ("white", "green", "cyan", "yellow"),
    "sdxl": ("white", "blue", "yellow"),
}
"""What raising each channel does to a picture that the VAE decodes, as Haoming02 photographed it
(github.com/Haoming02/sd-webui-latent-playground); SDXL's last channel is said to hold patterns."""

COLOURS = {
    "white": (1, 1, 1),
    "green": (-1, 2, -1),
    "blue": (-1, -1, 2),
    "cyan": (-2, 1, 1),
    "yellow": (1, 1, -2),
}


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_channels_have_the_colours_that_others_saw(family: Family) -> None:
    published = published_colours(family, 4, 8)
    assert published is not None
    for channel, name in zip(np.array(published.matrix).T, SHOWN[family], strict=False):
        hue = channel if name == "white" else channel - channel.mean()
        expected = np.array(COLOURS[name])
        angle = np.degrees(np.arccos(hue @ expected / np.linalg.norm(hue) / np.linalg.norm(expected)))
        assert angle < 45, name


def test_every_family_has_colours_for_its_own_latents_only() -> None:
    known: Mapping[Family, int] = {"sd": 4, "sdxl": 4, "sdxl-refiner": 4, "sd3": 16}
    for family, channels in known.items():
        published = published_colours(family, channels, 8)
        assert published is not None
        assert [len(row) for row in published.matrix] == [channels] * 3
        assert published_colours(family, 20 - channels, 8) is None
        assert published_colours(family, channels, 4) is None
