"""What a person reads while a picture is made."""

from __future__ import annotations

import pytest

from sdtui.cli.progress import Bar, Silence, stage
from sdtui.diffusion.events import Encoding, Loading, PipelineEvent
from sdtui.engine.protocol import Memory, Progress

MEMORY = Memory(engine=1, engine_peak=1, machine=1, machine_total=2)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Loading("text_encoder", 1, 3), "loading text encoder"),
        (Loading("unet", 2, 3, "compiling"), "compiling unet"),
        (
            Loading("unet", 2, 3, "specialising", 4.0, 91.2),
            "preparing unet for this machine, last time 1:31",
        ),
        (Loading("unet", 2, 3, "loading", 0.0, 0.4), "loading unet"),
    ],
)
def test_a_load_says_what_it_is_at_and_how_long_that_took(event: PipelineEvent, words: str) -> None:
    assert stage(event) == words


def test_a_note_is_a_line_that_stays(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar({"a": 1})
    bar.hear(Progress("a", Loading("unet", 2, 3, note="the GPU is used instead"), MEMORY))
    bar.close()
    assert "note: the GPU is used instead\n" in capsys.readouterr().err


def test_what_is_cut_off_is_told_once_for_all_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    silence = Silence()
    for note in ("", "the prompt is cut off", "the prompt is cut off"):
        silence.hear(Progress("a", Encoding(note), MEMORY))
    assert capsys.readouterr() == ("", "note: the prompt is cut off\n")
