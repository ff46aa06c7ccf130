"""The request while it is written: fields, seeds, and what differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.request import MAX_STEPS, SEED_LIMIT, GenerationRequest, RequestError
from sdtui.settings import Settings
from sdtui.tui.draft import Draft, differing, draft_of, starting_draft
from sdtui.tui.fields import FIELDS, Field
from tests.strategies import requests

FIELD = {field.name: field for field in FIELDS}


@given(requests)
def test_a_draft_of_a_request_makes_that_request_again(request: GenerationRequest) -> None:
    assert draft_of(request).request() == request.replace(template=None)


def test_an_empty_prompt_is_a_draft_but_no_request() -> None:
    with pytest.raises(RequestError, match="empty"):
        Draft(prompt="  ").request()


def test_a_new_draft_starts_from_the_settings() -> None:
    draft = starting_draft(Settings(steps=7, negative_prompt="blurry", scheduler="ddim"))
    assert (draft.prompt, draft.steps, draft.negative_prompt, draft.scheduler) == ("", 7, "blurry", "ddim")
    assert not draft.seed_locked


def test_each_generation_draws_a_seed_unless_it_is_locked() -> None:
    draft = Draft(prompt="a", seed=5)
    assert len({draft.with_seed().seed for _ in range(5)}) > 1
    assert draft.replace(seed_locked=True).with_seed().seed == 5


def test_the_next_seed_follows_and_is_locked() -> None:
    assert Draft(seed=41).with_next_seed() == Draft(seed=42, seed_locked=True)
    assert Draft(seed=SEED_LIMIT - 1).with_next_seed().seed == 0
    assert Draft().with_next_seed().seed is not None


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@given(turns=st.lists(st.sampled_from([-1, 1]), max_size=60))
def test_turning_a_field_never_leaves_what_a_request_may_be(field: object, turns: list[int]) -> None:
    draft = Draft(prompt="a", steps=3, guidance_scale=1.0, count=2, seed=1)
    for turn in turns:
        draft = field.turned(draft, turn)  # type: ignore[attr-defined]
    draft.request()


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("steps", "35", "35"),
        ("guidance_scale", "9", "9.0"),
        ("guidance_scale", "7.25", "7.25"),
        ("seed", "1234", "1234"),
        ("scheduler", "euler", "euler"),
        ("scheduler", "PN", "pndm"),
        ("count", "4", "4"),
        ("sigmas", "kar", "karras"),
        ("width", "768", "768"),
        ("tiled", "on", "on"),
        ("clip_skip", "2", "2"),
    ],
)
def test_typing_a_value(name: str, text: str, shown: str) -> None:
    assert FIELD[name].shown(FIELD[name].typed(Draft(), text)) == shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("steps", "0"),
        ("steps", str(MAX_STEPS + 1)),
        ("steps", "x"),
        ("guidance_scale", "-1"),
        ("guidance_scale", "nan"),
        ("seed", str(SEED_LIMIT)),
        ("scheduler", "magic"),
        ("count", "0"),
        ("image", "/no/such/picture.png"),
        ("width", "100"),
        ("upscale", "0.5"),
    ],
)
def test_typing_what_is_no_value_says_which_field(name: str, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        FIELD[name].typed(Draft(), text)
    assert caught.value.field == name


def test_a_typed_seed_is_locked_and_the_word_random_unlocks_it() -> None:
    locked = FIELD["seed"].typed(Draft(), "7")
    assert (locked.seed, locked.seed_locked) == (7, True)
    assert not FIELD["seed"].typed(locked, "random").seed_locked


def test_what_differs_from_a_picture() -> None:
    request = GenerationRequest(prompt="a", seed=3, steps=20)
    assert differing(draft_of(request), request) == frozenset()
    drawn = request.replace(prompt="a red apple", template="a {red|green} apple")
    assert differing(draft_of(drawn).replace(prompt="a {red|green} apple"), drawn) == frozenset()
    changed = draft_of(request).replace(steps=21, prompt="b", seed=4, count=3)
    assert differing(changed, request) == {"steps", "prompt", "seed"}
    assert differing(changed.replace(seed_locked=False), request) == {"steps", "prompt"}
    sized = request.replace(width=64, height=64)
    assert differing(draft_of(request), sized) == frozenset(), "the model's own size goes without saying"
    assert differing(draft_of(request).replace(width=128), sized) == {"width"}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_cleared_field_is_as_a_new_draft_has_it(field: Field) -> None:
    changed = field.turned(field.turned(Draft(), 1), 1)
    assert not field.is_set(field.cleared(changed))
