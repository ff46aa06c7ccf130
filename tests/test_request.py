"""The request: valid or refused, and the same value after every journey."""

from __future__ import annotations

import pytest
from hypothesis import given

from sdtui.request import SEED_LIMIT, Control, GenerationRequest, LoRA, RequestError
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
        ("timestep_spacing", "even"),
        ("sigmas", "linear"),
        ("image", "\ud800.png"),
        ("mask", "\ud800.png"),
        ("strength", 1.01),
        ("outpaint", (0, 0, -8, 0)),
        ("variation_seed", SEED_LIMIT),
        ("variation_strength", -0.1),
        ("blend_prompt", "\ud800"),
        ("blend", float("nan")),
        ("upscale", 0.5),
        ("upscale_strength", 2.0),
        ("clip_skip", -1),
        ("refiner_start", 1.5),
    ],
)
def test_refuses_and_names_the_field(field: str, value: object) -> None:
    values: dict[str, object] = {"prompt": "a red apple", field: value}
    with pytest.raises(RequestError) as refusal:
        GenerationRequest(**values)  # type: ignore[arg-type]
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "changes", [{"weight": float("inf")}, {"start": -0.1}, {"end": 1.1}, {"start": 0.5, "end": 0.5}]
)
def test_refuses_a_control_that_never_counts(changes: dict[str, float]) -> None:
    with pytest.raises(RequestError, match="controls is not valid"):
        Control(name="canny", image="edges.png", **changes)


def test_refuses_a_weight_that_is_no_number() -> None:
    with pytest.raises(RequestError, match="loras is not valid"):
        LoRA(name="ink", weight=float("nan"))


def test_reads_what_the_first_version_wrote() -> None:
    old = """{"prompt":"a red apple","negative_prompt":"","model":null,"steps":20,"guidance_scale":7.5,
    "seed":7,"count":1,"scheduler":"dpm++2m","rng":"torch","width":null,"height":null,
    "compute_units":"all","precision":"auto"}"""
    assert GenerationRequest.from_json(old) == GenerationRequest(prompt="a red apple", seed=7)


def test_refuses_json_that_is_no_request() -> None:
    for text in ("", "{}", "[]", '{"prompt": 3}', '{"prompt": "x", "colour": "red"}', b"\xff"):
        with pytest.raises(RequestError):
            GenerationRequest.from_json(text)


def test_pictures_have_consecutive_seeds_that_wrap() -> None:
    pictures = list(GenerationRequest(prompt="x", seed=SEED_LIMIT - 1, count=3).pictures())
    assert [(picture.seed, picture.count) for picture in pictures] == [(SEED_LIMIT - 1, 1), (0, 1), (1, 1)]


def test_variations_keep_the_seed() -> None:
    request = GenerationRequest(prompt="x", seed=5, count=2, variation_seed=8, variation_strength=0.2)
    assert [(each.seed, each.variation_seed) for each in request.pictures()] == [(5, 8), (5, 9)]


def test_a_drawn_seed_is_kept() -> None:
    seeded = GenerationRequest(prompt="x").seeded()
    assert seeded.seed is not None
    assert seeded.seeded() == seeded
