"""Which compute units a network is tried on."""

from __future__ import annotations

import pytest

from sdtui.request import ComputeUnits
from sdtui.runtime import Profile
from sdtui.runtime.apple.macos import MacOS
from sdtui.runtime.apple.units import choose_units

VENTURA = MacOS("13.6", "22G120")
SEQUOIA = MacOS("15.1", "24B83")
BETA = MacOS("14.4", "23E5180j")
NE, GPU, CPU = "cpu-and-ne", "cpu-and-gpu", "cpu-only"


def profile(
    role: str = "unet", family: str = "sd", attention: str | None = None, width: int = 512
) -> Profile:
    return Profile(role, family, width, 512, attention)


@pytest.mark.parametrize(
    ("network", "requested", "ladder"),
    [
        (None, "all", ("all", GPU, CPU)),
        (None, "cpu-and-ne", (NE, GPU, CPU)),
        (profile(), "all", ("all", GPU, CPU)),
        (profile(attention="ORIGINAL"), "all", (GPU, CPU)),
        (profile(attention="SPLIT_EINSUM"), "all", (NE, GPU, CPU)),
        (profile(attention="SPLIT_EINSUM_V2"), "all", (NE, GPU, CPU)),
        (profile(attention="SPLIT_EINSUM"), "cpu-and-gpu", (GPU, CPU)),
        (profile(attention="SPLIT_EINSUM"), "cpu-only", (CPU,)),
        (profile("vae_decoder", attention="ORIGINAL"), "all", (GPU, CPU)),
        (profile("vae_decoder", "sdxl", "SPLIT_EINSUM"), "all", (GPU, CPU)),
        (profile("text_encoder", "sdxl", "SPLIT_EINSUM"), "all", (NE, GPU, CPU)),
        (profile("unet", "sdxl", "SPLIT_EINSUM"), "all", (GPU, CPU)),
        (profile("unet", "sdxl"), "all", (GPU, CPU)),
        (profile("refiner", "sdxl-refiner", "SPLIT_EINSUM"), "cpu-and-ne", (GPU, CPU)),
        (profile("mmdit", "sd3"), "all", (GPU, CPU)),
        (profile("unet", attention="ORIGINAL"), "cpu-and-ne", (GPU, CPU)),
        (profile("text_encoder", attention="ORIGINAL"), "cpu-and-ne", (NE, GPU, CPU)),
    ],
)
def test_the_ladder(network: Profile | None, requested: ComputeUnits, ladder: tuple[str, ...]) -> None:
    assert choose_units(network, requested, SEQUOIA).ladder == ladder


def test_a_panic_of_macos_13_is_not_provoked() -> None:
    tall = profile(attention="SPLIT_EINSUM", width=768)
    assert choose_units(tall, "cpu-and-ne", VENTURA).ladder == (GPU, CPU)
    assert choose_units(tall, "cpu-and-ne", SEQUOIA).ladder == (NE, GPU, CPU)
    assert choose_units(profile(attention="SPLIT_EINSUM"), "all", VENTURA).ladder == (NE, GPU, CPU)


def test_a_beta_whose_gpu_computes_wrongly_keeps_off_it() -> None:
    assert choose_units(profile(attention="ORIGINAL"), "all", BETA).ladder == (CPU,)
    assert choose_units(profile(), "all", MacOS("14.4", "23E214")).ladder == ("all", GPU, CPU)


def test_what_is_blocked_says_why_and_who_found_out() -> None:
    choice = choose_units(profile("unet", "sdxl", "ORIGINAL"), "cpu-and-ne", SEQUOIA)
    objection = choice.objection("cpu-and-ne")
    assert objection is not None
    assert objection.source == "ml-stable-diffusion#242, ComfyUI-CoreMLSuite#33"
    assert {blocked.units for blocked in choice.blocked} == {NE, "all"}
    assert choice.objection("all") is None, "nobody insisted on it"
    assert choice.objection("cpu-and-gpu") is None


@pytest.mark.parametrize(
    ("macos", "version", "beta"),
    [(SEQUOIA, (15, 1), False), (BETA, (14, 4), True), (MacOS("", "6.8.0-45-generic"), (), True)],
)
def test_the_version_of_macos(macos: MacOS, version: tuple[int, ...], beta: bool) -> None:
    assert (macos.version, macos.beta) == (version, beta)
