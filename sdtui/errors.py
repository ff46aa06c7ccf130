"""The one kind of failure that a person is meant to read."""

from __future__ import annotations


class SdtuiError(Exception):
    """What happened, why, and what to do about it: one line, never a traceback.

    Every part is a short phrase without a final full stop. Commands print
    ``error: what, why, remedy``; the studio prints ``what — why — remedy``.
    """

    def __init__(self, what: str, why: str, remedy: str) -> None:
        super().__init__(what, why, remedy)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return ", ".join((self.what, self.why, self.remedy))
