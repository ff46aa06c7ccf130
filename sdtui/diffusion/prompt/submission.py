"""What is sent to be made: pictures whose prompts say what they show."""

from __future__ import annotations

from collections.abc import Iterator

from sdtui.diffusion.prompt.errors import PromptError
from sdtui.diffusion.prompt.template import expand
from sdtui.diffusion.prompt.wildcards import Wildcards
from sdtui.request import GenerationRequest

TEXTS = ("prompt", "negative_prompt", "blend_prompt")


def pictures(request: GenerationRequest, wildcards: Wildcards | None = None) -> Iterator[GenerationRequest]:
    """The pictures of ``request``, their prompts expanded, each with its own seed.

    Where that changes the prompt, ``template`` keeps what was written. ``wildcards`` are by default those
    in the person's configuration folder. Raises :class:`~sdtui.diffusion.prompt.errors.PromptError`, and
    RequestError where nothing is left of the prompt.
    """
    known = wildcards or Wildcards()
    for picture in request.pictures():
        yield expanded(picture, known)


def expanded(request: GenerationRequest, wildcards: Wildcards) -> GenerationRequest:
    """``request``, which has a seed, with nothing left to draw in its prompts. Raises as above."""
    assert request.seed is not None
    texts = {
        field: expand(text, request.seed, wildcards, field)
        for field in TEXTS
        if (text := getattr(request, field)) is not None
    }
    if texts["prompt"] != request.prompt:
        texts["template"] = request.prompt
    return request.replace(**texts)


def foreseen(prompt: str, seed: int) -> str:
    """What a prompt that is still being written becomes for ``seed``; itself where it cannot be drawn."""
    try:
        return expand(prompt, seed, Wildcards())
    except PromptError:
        return prompt
