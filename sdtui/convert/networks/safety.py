"""The safety checker: which of the concepts that it was given a picture shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from sdtui.convert.networks.positions import FirstRows
from sdtui.convert.sharing import sharing_weights
from sdtui.convert.source import Source

_CAREFUL = 0.01
"""How much every score rises for a picture that shows a concept of special care."""


def safety_checker(module: nn.Module, height: int, width: int) -> Source:
    """A diffusers StableDiffusionSafetyChecker, for pictures of ``height`` x ``width`` pixels.

    ``clip_input`` (1, 3, 224, 224), the picture as CLIP sees it, ``images`` (1, H, W, 3), ``adjustment``
    (1,), which raises the scores of special care -> ``filtered_images`` (1, H, W, 3), black where a
    concept was found, ``has_nsfw_concepts`` (1, 1, 1, 1), 0 or 1, and ``concept_scores`` (1, 17),
    above 0 for what was found.
    """
    config: Any = module.config
    size = config.vision_config.image_size
    random = np.random.default_rng(0)
    given = {
        "clip_input": random.standard_normal((1, 3, size, size), np.float32),
        "images": random.uniform(0, 1, (1, height, width, 3)).astype(np.float32),
    }
    probes = tuple({**given, "adjustment": np.array([value], np.float32)} for value in (0.0, 2.0))
    outputs = ("filtered_images", "has_nsfw_concepts", "concept_scores")
    return Source("safety_checker", _SafetyChecker(module), probes, outputs)


class _SafetyChecker(nn.Module):
    """Nothing in it depends on data: a picture is multiplied by 0 instead of being replaced."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        checker: Any = sharing_weights(module)
        embeddings = checker.vision_model.embeddings
        embeddings.position_embedding = FirstRows(embeddings.position_embedding, embeddings.num_positions)
        self.checker = checker
        self.concepts = _Similarity(checker.concept_embeds)
        self.special_care = _Similarity(checker.special_care_embeds)

    def forward(self, clip_input: Tensor, images: Tensor, adjustment: Tensor) -> tuple[Tensor, ...]:
        checker: Any = self.checker
        seen = functional.normalize(checker.visual_projection(checker.vision_model(clip_input)[1]))
        care = self.special_care(seen) - checker.special_care_embeds_weights + adjustment
        scores = self.concepts(seen) - checker.concept_embeds_weights + _any_above_zero(care) * _CAREFUL
        found = _any_above_zero(scores)[:, :, None, None]
        return images * (1 - found), found, scores


class _Similarity(nn.Module):
    """Cosines of unit vectors (B, P) and some embeddings (N, P), whose lengths are computed here, once:
    a converter must not read weights."""

    def __init__(self, embeddings: nn.Parameter) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.register_buffer("lengths", embeddings.detach().float().norm(dim=1), persistent=False)

    def forward(self, seen: Tensor) -> Tensor:
        return functional.linear(seen, self.embeddings) / self.get_buffer("lengths")


def _any_above_zero(scores: Tensor) -> Tensor:
    return (scores > 0).float().amax(1, keepdim=True)
