"""The choice of encodings is the best there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.compress.analysis import Analysis, WeightNoise
from sdtui.compress.calibration import Calibration
from sdtui.compress.recipe import Choice, Recipe, Tradeoff, lower_hull
from sdtui.compress.request import CompressionError
from sdtui.convert.encoding.encodings import Dense, parse

KEYS = ["palette-1", "palette-2", "palette-4", "palette-8"]
SHAPES = [(8, 512), (16, 300), (64, 64, 3, 3)]


def analysis(noises: list[list[float]]) -> Analysis:
    return Analysis(
        network="",
        calibration=Calibration(),
        encodings=KEYS,
        weights={
            f"w{index}": WeightNoise(shape, "fp16", dict(zip(KEYS, noise, strict=True)))
            for index, (shape, noise) in enumerate(zip(SHAPES, noises, strict=True))
        },
    )


NOISES = st.lists(st.lists(st.floats(1e-9, 1), min_size=4, max_size=4), min_size=3, max_size=3)
"""In no order: more bits may measure worse."""


def every_choice(measured: Analysis) -> Iterator[tuple[int, float]]:
    """Bytes and noise of all 125 ways to store three weights."""
    options = []
    for weight in measured.weights.values():
        options.append(
            [(parse(key).nbytes(weight.shape), noise) for key, noise in weight.noise.items()]
            + [(Dense().nbytes(weight.shape), 0.0)]
        )
    for choice in itertools.product(*options):
        yield sum(nbytes for nbytes, _ in choice), sum(noise for _, noise in choice)


@given(NOISES)
def test_no_other_choice_is_smaller_and_quieter(noises: list[list[float]]) -> None:
    measured = analysis(noises)
    choices = list(every_choice(measured))
    for recipe in Tradeoff(measured).path():
        quietest = min(noise for nbytes, noise in choices if nbytes <= recipe.nbytes)
        assert recipe.noise <= quietest + 1e-9


@given(NOISES, st.integers(8_000, 100_000))
def test_a_budget_is_kept_and_used(noises: list[list[float]], nbytes: int) -> None:
    measured = analysis(noises)
    recipe = Tradeoff(measured).within(nbytes)
    assert recipe.nbytes <= nbytes
    assert recipe.nbytes == sum(
        parse(recipe.encodings[name]).nbytes(weight.shape) for name, weight in measured.weights.items()
    )
    best_on_path = min(each.noise for each in Tradeoff(measured).path() if each.nbytes <= nbytes)
    assert recipe.noise <= best_on_path + 1e-9


@given(NOISES, st.floats(1e-10, 4))
def test_a_noise_is_kept_with_the_fewest_bytes_on_the_path(noises: list[list[float]], noise: float) -> None:
    tradeoff = Tradeoff(analysis(noises))
    recipe = tradeoff.quieter_than(noise)
    assert recipe.noise <= noise * (1 + 1e-6) + 1e-12

    def quiet(each: Recipe) -> bool:
        return each.noise <= noise * (1 - 1e-6) - 1e-12

    assert recipe.nbytes <= min((each.nbytes for each in tradeoff.path() if quiet(each)), default=10**9)


def test_what_a_weight_takes_on_average_includes_its_tables() -> None:
    measured = analysis([[0.4, 0.3, 0.2, 0.1]] * 3)
    recipe = Tradeoff(measured).within_bits(4.0)
    elements = sum(parse("palette-8").nbytes(weight.shape) - 512 for weight in measured.weights.values())
    assert recipe.bits == pytest.approx(8 * recipe.nbytes / elements)
    assert 3 < recipe.bits <= 4
    with pytest.raises(CompressionError, match=r"0\.90 bits a weight are fewer"):
        Tradeoff(measured).within_bits(0.9)


def test_the_hull_leaves_out_what_a_line_beats() -> None:
    a, b, c, d = (
        Choice(name, size, noise)
        for name, size, noise in zip("abcd", (1, 2, 3, 4), (9, 6, 1, 1), strict=True)
    )
    assert lower_hull([d, b, a, c]) == [a, c]


def test_what_is_float32_stays_so_where_it_is_not_compressed() -> None:
    measured = analysis([[0.4, 0.3, 0.2, 0.1]] * 3)
    measured.weights["w0"] = WeightNoise(SHAPES[0], "fp32", measured.weights["w0"].noise)
    *_, whole = Tradeoff(measured).path()
    assert whole.encodings == {"w0": "dense-fp32", "w1": "dense-fp16", "w2": "dense-fp16"}
    assert whole.nbytes == 4 * 8 * 512 + 2 * (16 * 300 + 64 * 64 * 9)
