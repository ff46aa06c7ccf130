"""Every family does every task as diffusers' own pipeline does it, with the same weights and seed."""

from __future__ import annotations

import pytest

from sdtui.conversion import ComputePrecision
from tests.diffusion.parity.cases import CHOSEN, Case, every_case
from tests.diffusion.parity.measuring import LEAST, Workshop


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_some_of_each_family(case: Case, workshop: Workshop) -> None:
    assert workshop.decibels(case) >= LEAST["fp32"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("case", tuple(every_case()), ids=str)
def test_the_whole_matrix(case: Case, precision: ComputePrecision, workshop: Workshop) -> None:
    assert workshop.decibels(case, precision) >= LEAST[precision]
