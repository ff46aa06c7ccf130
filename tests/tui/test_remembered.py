"""What the studio remembers between two runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.tui.draft import Draft
from sdtui.tui.remembered import Remembered, recall, remember, studio_file

pytestmark = pytest.mark.usefixtures("home")


def test_it_comes_back() -> None:
    remembered = Remembered(draft=Draft(prompt="ø 🍎", steps=3), prompts=("a", "b"), seen=9)
    remember(remembered)
    assert recall() == remembered


def test_there_is_nothing_before_the_first_run() -> None:
    assert recall() == Remembered()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"draft": {"steps": "x"}}', b"\xff"])
def test_a_damaged_file_is_an_empty_memory(content: bytes) -> None:
    studio_file().parent.mkdir(parents=True)
    studio_file().write_bytes(content)
    assert recall() == Remembered()


def test_a_write_that_fails_leaves_what_was_there(home: Path) -> None:
    remember(Remembered(seen=1))
    folder = studio_file().parent
    assert folder.is_relative_to(home)
    studio_file().unlink()
    studio_file().mkdir()
    with pytest.raises(OSError, match="studio"):
        remember(Remembered(seen=2))
    assert [file.name for file in folder.iterdir()] == ["studio.json"]
