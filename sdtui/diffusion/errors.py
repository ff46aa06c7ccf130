"""How making a picture can end without one."""

from __future__ import annotations

from sdtui.errors import SdtuiError


class DiffusionError(SdtuiError):
    """A picture cannot be made, or its numbers went wrong on the way."""


class Cancelled(Exception):  # noqa: N818 - nobody made an error
    """The picture was stopped on request."""
