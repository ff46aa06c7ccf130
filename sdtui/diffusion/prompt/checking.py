"""What a model cannot do with a prompt, said before any of its networks is loaded."""

from __future__ import annotations

from sdtui.bundle import Bundle
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.parts import denoiser, inputs, outputs
from sdtui.diffusion.text import PENULTIMATE
from sdtui.request import GenerationRequest


def check_prompts(request: GenerationRequest, bundle: Bundle) -> None:
    """Refuse what the text encoders of ``bundle`` cannot give.

    Raises :class:`DiffusionError`, or :class:`NetworkError` for a network that cannot be read.
    """
    _check_clip_skip(request, bundle)
    _check_length(request, bundle)


def _check_clip_skip(request: GenerationRequest, bundle: Bundle) -> None:
    if not request.clip_skip:
        return
    what = f"{bundle.name} cannot leave out {request.clip_skip} of its text encoder's layers"
    if bundle.manifest.family != "sd":
        raise DiffusionError(
            what,
            "its family reads the last layer but one always",
            "set clip skip to 0, or choose another model",
        )
    if PENULTIMATE not in outputs(bundle, "text_encoder"):
        raise DiffusionError(
            what, "it has only what comes after all of them", "set clip skip to 0, or convert the model again"
        )
    if request.clip_skip > 1:
        raise DiffusionError(what, "it has been converted for one", "set clip skip to 1 or 0")


def _check_length(request: GenerationRequest, bundle: Bundle) -> None:
    """A denoiser that was converted with a token length of its own may not fit the encoder."""
    length = bundle.manifest.token_length
    words = inputs(bundle, denoiser(bundle, request)).get("encoder_hidden_states", ())
    if words and words[-1] % length:
        raise DiffusionError(
            f"{bundle.name} cannot read prompts",
            f"its UNet takes {words[-1]} tokens, and its text encoder gives {length} at a time",
            f"convert it again with a multiple of {length} tokens",
        )
