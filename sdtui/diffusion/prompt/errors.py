"""What can be wrong with a prompt."""

from __future__ import annotations

from sdtui.errors import SdtuiError


class PromptError(SdtuiError):
    """A prompt's template cannot become a prompt."""
