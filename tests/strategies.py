"""Hypothesis strategies that several rooms share."""

from __future__ import annotations

from hypothesis import strategies as st

from sdtui.history import Origin
from sdtui.request import SCHEDULERS, SEED_LIMIT, GenerationRequest

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
pixels = st.none() | st.integers(1, 512).map(lambda cells: cells * 8)

requests = st.builds(
    GenerationRequest,
    prompt=text.filter(lambda prompt: bool(prompt.strip())),
    negative_prompt=text,
    model=st.none() | text,
    steps=st.integers(1, 1000),
    guidance_scale=st.floats(0, 100),
    seed=st.integers(0, SEED_LIMIT - 1),
    count=st.integers(1, 1000),
    scheduler=st.sampled_from(SCHEDULERS),
    rng=st.sampled_from(["numpy", "torch"]),
    width=pixels,
    height=pixels,
    compute_units=st.sampled_from(["all", "cpu-only", "cpu-and-gpu", "cpu-and-ne"]),
    precision=st.sampled_from(["auto", "fp32", "bf16", "fp16"]),
)

origins = st.builds(Origin, request=requests, model=text, model_hash=text, runtime=text, version=text)
