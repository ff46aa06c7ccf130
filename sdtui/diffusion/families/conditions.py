"""What the families share: prompts become conditions, and conditions go with a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network

Conditions = Mapping[str, Array]
"""What a denoiser is told beside sample and timestep, under the names of its inputs.

Each is float32 with a row for each prompt: [negative, positive], or [positive] without guidance.
"""


@dataclass(frozen=True)
class Prompts:
    """What the picture shows and, where it is guided, what it does not."""

    positive: str
    negative: str | None = None

    @property
    def rows(self) -> tuple[str, ...]:
        """The prompts in the order of all rows."""
        return (self.positive,) if self.negative is None else (self.negative, self.positive)


class Family(Protocol):
    """A denoiser and the text encoders that it listens to."""

    def condition(self, prompts: Prompts) -> Conditions:
        """What the denoiser is told of the prompts. Raises :class:`NetworkError`."""

    def predict(self, sample: Array, timestep: float, conditions: Conditions) -> Array:
        """Its answers (P, C, h, w) to ``sample`` (1, C', h, w), one for each of the P rows.

        ``conditions`` may hold more than :meth:`condition` gave: a ControlNet's residuals.
        """


def conditioned(family: Family, request: GenerationRequest, *, guided: bool) -> Conditions:
    """What ``family`` is told of the request's prompts, with the negative one where it is ``guided``.

    With a ``blend_prompt`` it lies between two prompts, on a straight line from one to the other.
    """
    negative = request.negative_prompt if guided else None
    first = family.condition(Prompts(request.prompt, negative))
    if request.blend_prompt is None or request.blend == 0:
        return first
    second = family.condition(Prompts(request.blend_prompt, negative))
    fraction = request.blend
    return {name: (1 - fraction) * rows + fraction * second[name] for name, rows in first.items()}


def words(hidden: Array) -> Array:
    """Hidden states (P, T, D) as Apple's networks read them: (P, D, 1, T)."""
    return hidden.transpose(0, 2, 1)[:, :, None]


def guidance_embedding(guidance_scale: float, width: int) -> Array:
    """The guidance scale as a distilled model reads it (``timestep_cond``): float32 (1, ``width``).

    A sinusoid of 1000 (scale - 1), as in diffusers' ``get_guidance_scale_embedding`` (after VDM,
    Kingma et al. 2021).
    """
    half = width // 2
    frequencies = np.exp(np.arange(half, dtype=np.float32) * np.float32(-np.log(10000.0) / (half - 1)))
    angles = np.float32((guidance_scale - 1) * 1000) * frequencies
    embedding = np.concatenate([np.sin(angles), np.cos(angles)]).astype(np.float32)
    return np.pad(embedding, (0, width - 2 * half))[None]


def run_rows(
    network: Network, sample: tuple[str, Array], timestep: float, conditions: Conditions
) -> dict[str, Array]:
    """Every output of a denoiser or ControlNet, a row for each of the conditions' P rows.

    ``sample`` is the name of an input and its value (1, C, h, w), the same for each row. As few calls
    as the network's batch allows; a place in it that is left over repeats a row.
    """
    name, value = sample
    batch = network.inputs[name].shape[0]
    count = len(next(iter(conditions.values())))
    places = np.arange(-(-count // batch) * batch) % count
    always = {
        name: np.repeat(value, batch, axis=0),
        "timestep": np.full(network.inputs["timestep"].shape, timestep, np.float32),
    }
    answers = [
        network.predict(always | _chosen(network, conditions, places[start : start + batch]))
        for start in range(0, len(places), batch)
    ]
    return {each: np.concatenate([answer[each] for answer in answers])[:count] for each in answers[0]}


def _chosen(network: Network, conditions: Conditions, places: Array) -> dict[str, Array]:
    """Some rows of the conditions; older exports take ``time_ids`` flat."""
    rows = {name: every[places] for name, every in conditions.items()}
    flat = {name for name in rows if name in network.inputs and len(network.inputs[name].shape) == 1}
    return {name: array.reshape(-1) if name in flat else array for name, array in rows.items()}
