"""The grammar says what it means, keeps some combinations back, and its tokens are those of CLIP."""

from __future__ import annotations

import random
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sdtui.starter.captions import Grammar, article
from sdtui.starter.config import BACKGROUNDS, COLOURS, STYLES
from sdtui.starter.questions import KINDS
from sdtui.starter.scene import Scene, SceneSource, Thing, boxes, held_out
from sdtui.starter.tokenizer import END, START, corpus, read_tokenizer, train_tokenizer
from sdtui.starter.train_text import token_ids

GRAMMAR = Grammar(("ball", "octopus", "whale"), ((), ("cephalopod",), ()))
SOURCE = SceneSource(400)


@given(st.integers())
def test_a_caption_names_its_things_in_order_and_the_background_it_tells(seed: int) -> None:
    generator = random.Random(seed)
    scene = SceneSource(3).any(generator)
    caption = GRAMMAR.caption(scene, generator)
    words = caption.text.replace("cephalopod", "octopus")
    found = [words.find(GRAMMAR.names[thing.subject]) for thing in scene.things]
    assert min(found) >= 0
    if not re.search(r"right of|below|under (?!the stars)", words):
        assert found == sorted(found)
    if caption.tells_background and scene.background < len(COLOURS):
        assert BACKGROUNDS[scene.background] in words
    if not caption.tells_background:
        assert not any(colour in words for colour in COLOURS)
    assert not re.search(r"[{}]|\ba an?\b|  |\ba orange|\ban? [A-Z]", words)
    assert ("small" in words or "tiny" in words or "little" in words) == any(
        thing.size == "small" for thing in scene.things
    )


def test_the_plainest_caption_says_everything() -> None:
    scene = Scene((Thing(1, "small"),), "top left", STYLES.index("flat"), BACKGROUNDS.index("orange"))
    told = "a small octopus in the top left corner on an orange background, flat"
    assert GRAMMAR.plain(scene).text == told
    pair = Scene((Thing(2), Thing(1, "large")), "above", 0, BACKGROUNDS.index("meadow"))
    assert GRAMMAR.plain(pair).text == "a whale above a large octopus in a meadow"
    assert article("octopus") == "an"


@given(st.integers())
def test_no_scene_to_train_on_has_a_held_out_combination(seed: int) -> None:
    scene = SOURCE.training(random.Random(seed))
    assert not held_out(scene)
    # Nor has the scene of the same things told the other way round.
    assert "pair" not in held_out(Scene(scene.things[::-1], "beside", 0, 0)) or len(scene.things) == 1


def test_every_kind_is_held_out_now_and_then_and_no_subject_altogether() -> None:
    generator = random.Random(1)
    for kind in KINDS:
        assert kind in held_out(SOURCE.unseen(kind, generator))
    trained = {thing.subject for _ in range(8000) for thing in SOURCE.training(generator).things}
    assert len(trained) == SOURCE.subjects


@given(st.integers())
def test_two_things_do_not_overlap(seed: int) -> None:
    generator = random.Random(seed)
    scene = SceneSource(5, pair_chance=1.0).any(generator)
    first, second = boxes(scene)
    apart = max(abs(first.x - second.x), abs(first.y - second.y))
    assert apart >= (first.side + second.side) / 2
    assert (first.x < second.x) == (scene.arrangement == "beside")


def test_any_text_survives_the_tokenizer_and_a_frequent_word_is_one_token(tmp_path: Path) -> None:
    train_tokenizer(corpus(GRAMMAR), 900, tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    for text in ("red apple on a blue background", "café, 2 naïve wholes!", "日本 🐋"):
        ids = token_ids(tokenizer, [text])[0].tolist()
        assert len(ids) == 77
        assert tokenizer.convert_ids_to_tokens(ids[:1]) == [START]
        assert tokenizer.convert_ids_to_tokens(ids[-1:]) == [END]
        spoken = tokenizer.decode(ids, skip_special_tokens=True)
        assert spoken.replace(" ", "") == text.replace(" ", "")
    assert tokenizer.tokenize("Background") == ["background</w>"]
