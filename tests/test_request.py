"""The request: valid or refused, and the same value after every journey."""

from __future__ import annotations

import pytest
from hypothesis import given

from sdtui.request import SEED_LIMIT, GenerationRequest, RequestError
from tests.strategies import requests


@given(requests)
def test_round_trips_through_json(request_: GenerationRequest) -> None:
    assert GenerationRequest.from_json(request_.to_json()) == request_


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", " \n"),
        ("prompt", "caf\udce9"),
        ("negative_prompt", "\ud800"),
        ("steps", 0),
        ("steps", -3),
        ("guidance_scale", float("nan")),
        ("guidance_scale", -1.0),
        ("seed", -1),
        ("seed", SEED_LIMIT),
        ("count", 0),
        ("scheduler", "magic"),
        ("rng", "dice"),
        ("width", 100),
        ("height", 0),
        ("compute_units", "gpu"),
        ("precision", "int4"),
    ],
)
def test_refuses_and_names_the_field(field: str, value: object) -> None:
    values: dict[str, object] = {"prompt": "a red apple", field: value}
    with pytest.raises(RequestError) as refusal:
        GenerationRequest(**values)  # type: ignore[arg-type]
    assert refusal.value.field == field


def test_refuses_json_that_is_no_request() -> None:
    for text in ("", "{}", "[]", '{"prompt": 3}', '{"prompt": "x", "colour": "red"}', b"\xff"):
        with pytest.raises(RequestError):
            GenerationRequest.from_json(text)


def test_pictures_have_consecutive_seeds_that_wrap() -> None:
    pictures = list(GenerationRequest(prompt="x", seed=SEED_LIMIT - 1, count=3).pictures())
    assert [(picture.seed, picture.count) for picture in pictures] == [(SEED_LIMIT - 1, 1), (0, 1), (1, 1)]


def test_a_drawn_seed_is_kept() -> None:
    seeded = GenerationRequest(prompt="x").seeded()
    assert seeded.seed is not None
    assert seeded.seeded() == seeded
