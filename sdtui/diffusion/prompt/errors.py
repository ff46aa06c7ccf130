"""What can be wrong with a prompt."""

from __future__ import annotations

from sdtui.request import RequestError


class PromptError(RequestError):
    """A prompt's template cannot become a prompt."""

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__("prompt", why, remedy)
        self.what = what
