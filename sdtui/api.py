"""Making pictures from Python, in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sdtui.bundle import Bundle, locate
from sdtui.diffusion.pipeline import Picture, Pipeline
from sdtui.diffusion.prompt.submission import pictures
from sdtui.history.inputs import keep_pictures
from sdtui.request import GenerationRequest
from sdtui.settings import load_settings, places

__all__ = ["Picture", "generate"]


def generate(prompt: str, *, model: str | None = None, **fields: Any) -> Iterator[Picture]:
    """Make the pictures of a request, one after the other, in this process.

    ``model`` is a name or a path, None for the one in the settings, else the built-in one; ``fields``
    are the other fields of :class:`GenerationRequest`. At the call the request and the model are
    checked, the pictures that it starts from kept, and choices and wildcards in its prompts drawn; the
    networks are loaded when the first picture is asked for and let go after the last. Raises
    :class:`SdtuiError`.

    >>> for picture in generate("a red apple", steps=20, seed=7):
    ...     picture.image.save("apple.png")
    """
    texts = {name: os.fspath(value) for name, value in fields.items() if isinstance(value, os.PathLike)}
    request = GenerationRequest(prompt=prompt, model=model or load_settings().model, **fields | texts)
    bundle = Bundle.open(locate(request.model))
    request = keep_pictures(request, places().inputs)
    wanted = tuple(pictures(request))
    low_memory = load_settings().low_memory
    pipeline = Pipeline(bundle, request.compute_units, request.precision, low_memory=low_memory)
    return _pictures(pipeline, wanted)


def _pictures(pipeline: Pipeline, wanted: tuple[GenerationRequest, ...]) -> Iterator[Picture]:
    with closing(pipeline):
        for each in wanted:
            yield pipeline.generate(each)
