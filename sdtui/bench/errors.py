"""How measuring can end without figures."""

from __future__ import annotations

from sdtui.errors import SdtuiError


class MeasurementError(SdtuiError):
    """Something could not be measured."""
