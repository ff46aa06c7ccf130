"""Model families: how each is conditioned, and what its denoiser takes. One small class each."""

from sdtui.diffusion.families.casting import Cast, cast
from sdtui.diffusion.families.conditions import Conditions, Family, Prompts, conditioned

__all__ = ["Cast", "Conditions", "Family", "Prompts", "cast", "conditioned"]
