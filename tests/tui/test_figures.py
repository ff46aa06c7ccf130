"""Numbers that keep their width, and bars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.diffusion.events import Loading
from sdtui.tui.figures import LEVELS, bar, clock, gigabytes, graph, shortened, shortened_path, size_on_disk
from sdtui.tui.widgets.progress_line import stage

GB = 2**30


@given(st.integers(0, 9999 * GB))
def test_gigabytes_are_always_as_wide(count: int) -> None:
    assert len(gigabytes(count)) == 4


@pytest.mark.parametrize(
    ("count", "text"), [(0, " 0.0"), (2.14 * GB, " 2.1"), (24 * GB, "24.0"), (192 * GB, " 192")]
)
def test_gigabytes(count: float, text: str) -> None:
    assert gigabytes(int(count)) == text


@pytest.mark.parametrize(("count", "text"), [(22_000_000, "22 MB"), (1_040_000_000, "1.0 GB"), (3, "1 MB")])
def test_size_on_disk(count: int, text: str) -> None:
    assert size_on_disk(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (0.2, "0:01"), (59.5, "1:00"), (72, "1:12"), (3600, "60:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@given(st.lists(st.integers(0, 10**12), max_size=200), st.integers(1, 60))
def test_a_graph_fills_its_columns_from_the_right(values: list[int], columns: int) -> None:
    drawn = graph(values, columns)
    assert len(drawn) == columns
    assert len(drawn.strip()) == min(len(values), columns)
    assert set(drawn.strip()) <= set(LEVELS)


def test_a_graph_rises_with_its_values() -> None:
    assert graph([0, 50, 100], 3) == "▁▃▅"


@given(st.floats(-1, 2), st.integers(0, 100))
def test_a_bar_is_as_long_as_it_should_be(done: float, columns: int) -> None:
    full, left = bar(done, columns)
    assert len(full + left) == columns


def test_a_bar_counts_half_columns_and_tells_its_parts_by_shape() -> None:
    assert bar(0.25, 10) == ("━━╸", "───────")
    assert bar(1.0, 4) == ("━━━━", "")


@given(st.text(max_size=60), st.integers(1, 40))
def test_shortened_text_is_one_line_that_fits(text: str, columns: int) -> None:
    line = shortened(text, columns)
    assert len(line) <= columns
    assert "\n" not in line


def test_a_shortened_path_keeps_its_name() -> None:
    assert shortened_path("/home/me/pictures/apple.png", 14) == "…res/apple.png"
    assert shortened_path("/a.png", 14) == "/a.png"


def test_a_load_says_what_it_is_at_and_how_long_that_took() -> None:
    preparing = Loading("text_encoder", 1, 3, "specialising", 4.0, 91.0)
    assert stage(preparing, wide=True) == ("preparing text encoder", 0.0, "1/3  last time 1:31")
    assert stage(preparing, wide=False) == ("preparing text encoder", 0.0, "1/3")
    assert stage(Loading("unet", 2, 3), wide=True) == ("loading unet", 1 / 3, "2/3")
    assert stage(Loading("unet", 2, 3, note="the GPU is used"), wide=True)[0] == "the GPU is used"
