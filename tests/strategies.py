"""Hypothesis strategies that several rooms share."""

from __future__ import annotations

from hypothesis import strategies as st

from sdtui.history import Origin
from sdtui.request import SCHEDULERS, SEED_LIMIT, Control, GenerationRequest, LoRA

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
pixels = st.none() | st.integers(1, 512).map(lambda cells: cells * 8)
fractions = st.floats(0, 1)
seeds = st.integers(0, SEED_LIMIT - 1)
controls = st.builds(
    Control, name=text, image=text, weight=st.floats(0, 10), start=st.floats(0, 0.5), end=st.floats(0.75, 1)
)
loras = st.builds(LoRA, name=text, weight=st.floats(-10, 10))

requests = st.builds(
    GenerationRequest,
    prompt=text.filter(lambda prompt: bool(prompt.strip())),
    template=st.none() | text,
    negative_prompt=text,
    model=st.none() | text,
    steps=st.integers(1, 1000),
    guidance_scale=st.floats(0, 100),
    seed=seeds,
    count=st.integers(1, 1000),
    scheduler=st.sampled_from(SCHEDULERS),
    timestep_spacing=st.sampled_from([None, "leading", "linspace", "trailing"]),
    sigmas=st.sampled_from([None, "karras", "exponential", "beta"]),
    rng=st.sampled_from(["numpy", "torch", "nvidia"]),
    width=pixels,
    height=pixels,
    image=st.none() | text,
    strength=fractions,
    mask=st.none() | text,
    outpaint=st.none() | st.tuples(*[st.integers(0, 512)] * 4),
    controls=st.lists(controls, max_size=2).map(tuple),
    variation_seed=st.none() | seeds,
    variation_strength=fractions,
    blend_prompt=st.none() | text,
    blend=fractions,
    upscale=st.floats(1, 8),
    upscale_strength=fractions,
    clip_skip=st.integers(0, 11),
    refiner_start=fractions,
    loras=st.lists(loras, max_size=2).map(tuple),
    safety_checker=st.booleans(),
    tiled=st.booleans(),
    compute_units=st.sampled_from(["all", "cpu-only", "cpu-and-gpu", "cpu-and-ne"]),
    precision=st.sampled_from(["auto", "fp32", "bf16", "fp16"]),
)

origins = st.builds(Origin, request=requests, model=text, model_hash=text, runtime=text, version=text)
