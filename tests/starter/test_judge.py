"""The judge reads its cells rightly, the marks are fair, and the evaluation asks what was never trained."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import one_hot

from sdtui.starter.artwork import prepare
from sdtui.starter.config import BACKGROUNDS, STYLES, JudgeConfig
from sdtui.starter.curve import chart
from sdtui.starter.judge import JudgeNetwork, mark, rates, read, targets
from sdtui.starter.questions import KINDS, diversity, questions
from sdtui.starter.scene import Scene, SceneSource, Thing, boxes, held_out
from sdtui.starter.train_judge import examples
from sdtui.starter.train_unet import is_milestone
from tests.starter.sketches import NAMES, sketch


def certain(scenes: list[Scene], subjects: int) -> tuple[torch.Tensor, ...]:
    """The logits of a judge that is right and knows it; what it is not sure of it calls nothing."""
    cells = np.stack([targets(scene, boxes(scene), subjects)[0] for scene in scenes])
    what = torch.from_numpy(np.where(cells < 0, subjects, cells))
    how = torch.tensor([scene.style for scene in scenes])[:, None, None].expand(what.shape)
    behind = torch.tensor([scene.background for scene in scenes])[:, None, None].expand(what.shape)
    logits = (one_hot(what, subjects + 1), one_hot(how, len(STYLES)), one_hot(behind, len(BACKGROUNDS)))
    return tuple(20.0 * each.permute(0, 3, 1, 2).float() for each in logits)


def test_a_judge_that_knows_every_cell_finds_every_picture_right() -> None:
    generator = random.Random(2)
    scenes = [SceneSource(50).any(generator) for _ in range(200)]
    marks = [mark(*each) for each in zip(scenes, read(*certain(scenes, 50)), strict=True)]
    assert rates(marks) == dict.fromkeys(("subject", "background", "style", "place", "both", "order"), 1.0)


def test_what_was_not_asked_for_is_wrong() -> None:
    asked = Scene((Thing(1),), "left", 0, 2)
    for drawn, name in (
        (Scene((Thing(3),), "left", 0, 2), "subject"),
        (Scene((Thing(1),), "left", 0, 5), "background"),
        (Scene((Thing(1),), "left", 1, 2), "style"),
        (Scene((Thing(1),), "bottom left", 0, 2), "place"),
    ):
        marks = mark(asked, read(*certain([drawn], 9))[0])
        assert [key for key, value in rates([marks]).items() if not value] == [name]
    pair = Scene((Thing(1), Thing(2)), "beside", 0, 0)
    swapped = Scene((Thing(2), Thing(1)), "beside", 0, 0)
    other = Scene((Thing(2), Thing(4)), "beside", 0, 0)
    assert rates([mark(pair, read(*certain([swapped], 9))[0])])["order"] == 0.0
    assert rates([mark(pair, read(*certain([other], 9))[0])])["both"] == 0.0


def test_the_network_fits_its_examples(tmp_path: Path) -> None:
    sketch(tmp_path)
    _, pictures, subjects, styles, backgrounds = examples(prepare(tmp_path), 4, seed=1)
    what, how, behind = JudgeNetwork(len(NAMES), JudgeConfig(channels=(8, 8, 8)))(pictures)
    assert what.shape == (4, len(NAMES) + 1, 8, 8)
    assert how.shape[1:] == (len(STYLES), 8, 8)
    assert behind.shape[1] == len(BACKGROUNDS)
    assert subjects.shape == styles.shape == (4, 8, 8)
    assert backgrounds.shape == (4,)
    assert (subjects >= 0).any((1, 2)).all()


def test_questions_are_the_same_every_time_and_none_was_trained(tmp_path: Path) -> None:
    sketch(tmp_path)
    artwork = prepare(tmp_path)
    asked = questions(artwork, 6)
    assert asked[:3] == questions(artwork, 3)[:3]
    assert [each.kind for each in asked] == [kind for kind in KINDS for _ in range(6)]
    assert all(each.kind in held_out(each.scene) for each in asked)


def test_pictures_that_are_all_the_same_have_no_diversity() -> None:
    one, two = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 30, np.uint8)
    assert diversity([[one, one, one]]) == 0.0
    assert diversity([[one, two], [one, one]]) == 15.0


def test_milestones_double_and_the_chart_shows_them() -> None:
    kept = [step for step in range(250, 12_001, 250) if is_milestone(step)]
    assert kept == [500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12000]
    points = [
        {"step": float(step), "subject": part, "background": 0.9, "style": 0.5, "place": 0.4, "both": 0.1}
        for step, part in ((500, 0.1), (1000, 0.3), (2000, 0.5))
    ]
    colours = {colour for _, colour in chart(points).getcolors(100_000) or ()}
    assert (214, 64, 69) in colours
