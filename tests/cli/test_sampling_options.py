"""Schedulers on the command line."""

from __future__ import annotations

from sdtui.request import SCHEDULERS
from tests.cli.conftest import sdtui


def test_all_schedulers_are_listed() -> None:
    """Without a prompt, and without what generating takes."""
    ran = sdtui("generate", "--list-schedulers")
    heading, *rows = ran.out.splitlines()
    assert ran.code == 0
    assert heading.split() == ["NAME", "SCHEDULER", "MODELS", "TAKES"]
    assert [row.split()[0] for row in rows] == list(SCHEDULERS)
    shown = dict(zip(SCHEDULERS, rows, strict=True))
    assert shown["euler"].endswith("SD, SDXL  --timestep-spacing --sigmas")
    assert shown["euler-karras"].endswith("SD, SDXL  --timestep-spacing")
    assert shown["flow-heun"].endswith("SD3")


def test_options_reach_the_request(cli_home: object) -> None:  # noqa: ARG001 - where it works
    common = ("generate", "an apple", "--in-process", "--steps", "1", "--scheduler", "ddim")
    sdtui(*common, "--sigmas", "karras").refused(1, "ddim takes no karras sigmas")
    sdtui(*common, "--tiled", "--rng", "nvidia").refused(1, "has no tiles for 64 x 64 pixels")
    sdtui(*common, "--timestep-spacing", "magic").refused(2, "timestep spacing", "magic")
