"""The table of agreement: that the command works, on its smallest case; ``slow`` looks at all of it."""

from __future__ import annotations

import dataclasses

import pytest

from tests.runtime.agreement import Agreement, Case, main


def test_the_command_prints_figures_and_is_content(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--network", "text_projection", "--target", "macOS14"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "text_projection" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[0::2][:2] == ["text_projection", "macOS14"]
    assert float(cells[3]) >= 110 > float(cells[4]) >= 58
    assert float(cells[5]) >= 110
    assert cells[7] == "same"


def test_what_disagrees_is_wrong() -> None:
    good = Agreement(
        Case("unet", "ORIGINAL", "macOS13"), fp32=110, fp16=58, openvino=110, halves=110, compiled=True
    )
    assert good.good
    for worse in (
        {"fp32": 109.9},
        {"fp16": 57.9},
        {"openvino": 109.9},
        {"openvino": None},
        {"halves": 109.9},
        {"compiled": False},
    ):
        assert not dataclasses.replace(good, **worse).good


@pytest.mark.slow
def test_everything_agrees() -> None:
    assert main([]) == 0
