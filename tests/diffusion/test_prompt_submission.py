"""What is submitted says what it shows: prompts are drawn once, and drawing them again changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.diffusion.prompt.errors import PromptError
from sdtui.diffusion.prompt.submission import foreseen, pictures
from sdtui.diffusion.prompt.wildcards import Wildcards
from sdtui.request import SEED_LIMIT, GenerationRequest, RequestError

NOWHERE = Wildcards(Path("/nowhere"))


def test_each_picture_draws_with_its_seed() -> None:
    request = GenerationRequest(
        prompt="a {red|green|blue} apple",
        negative_prompt="{red|green|blue}",
        blend_prompt="{red|green|blue} pear",
        seed=SEED_LIMIT - 2,
        count=40,
    )
    made = list(pictures(request, NOWHERE))
    assert [each.seed for each in made] == [*range(SEED_LIMIT - 2, SEED_LIMIT), *range(38)]
    assert {each.template for each in made} == {"a {red|green|blue} apple"}
    assert {each.prompt for each in made} == {f"a {colour} apple" for colour in ("red", "green", "blue")}
    assert any(each.negative_prompt not in each.prompt for each in made)
    assert any(each.negative_prompt != (each.blend_prompt or "").split()[0] for each in made)
    assert list(pictures(request, NOWHERE)) == made


def test_what_was_recorded_is_sent_again_as_it_is() -> None:
    [made] = pictures(GenerationRequest(prompt=r"{a|b} \{c|d\}", seed=1), NOWHERE)
    assert made.prompt in (r"a \{c|d\}", r"b \{c|d\}")
    assert GenerationRequest.from_json(made.to_json()) == made
    assert list(pictures(made, NOWHERE)) == [made]


def test_a_plain_prompt_has_no_template() -> None:
    request = GenerationRequest(prompt="a (red:1.2) apple :{ __init", seed=3)
    assert list(pictures(request, NOWHERE)) == [request]


def test_a_seed_is_drawn_before_the_words_are() -> None:
    [made] = pictures(GenerationRequest(prompt="{a|b}"), NOWHERE)
    assert made.seed is not None
    assert list(pictures(GenerationRequest(prompt="{a|b}", seed=made.seed), NOWHERE)) == [made]


def test_variations_of_a_seed_show_the_same() -> None:
    request = GenerationRequest(prompt="{a|b|c|d}", seed=5, count=8, variation_seed=1, variation_strength=0.1)
    assert len({each.prompt for each in pictures(request, NOWHERE)}) == 1


def test_nothing_left_and_what_cannot_be_drawn() -> None:
    with pytest.raises(RequestError, match="prompt is not valid, it is empty"):
        list(pictures(GenerationRequest(prompt="{|}", seed=0), NOWHERE))
    with pytest.raises(PromptError, match="the wildcard __x__ cannot be used"):
        list(pictures(GenerationRequest(prompt="a", negative_prompt="__x__", seed=0), NOWHERE))


@pytest.mark.usefixtures("home")
def test_what_is_being_written_is_foreseen() -> None:
    [made] = pictures(GenerationRequest(prompt="a {red|green} apple", seed=1), NOWHERE)
    assert foreseen("a {red|green} apple", 1) == made.prompt
    assert foreseen("a {red|green} __fru__", 1) == "a {red|green} __fru__"
