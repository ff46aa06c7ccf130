"""What is remembered of a picture. Light: the interface imports this."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sdtui.request import GenerationRequest


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """How a picture came to be: the request and what answered it. The PNG embeds this.

    ``request`` has its seed and ``count`` 1; ``model_hash`` is the sha256 of the bundle;
    ``version`` is sdtui's.
    """

    request: GenerationRequest
    model: str
    model_hash: str
    runtime: str
    version: str


class PictureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the history.

    ``created`` is in UTC, ``width`` and ``height`` are pixels, ``seconds`` says where the time went
    (``load``, ``text``, ``denoise``, ``decode``, ``total``). ``job`` is the engine job that made it.
    ``favourite`` is the person's own mark.
    """

    id: int
    path: str
    origin: Origin
    created: datetime
    width: int
    height: int
    seconds: dict[str, float]
    peak_memory_bytes: int
    job: str | None = None
    favourite: bool = False

    @property
    def request(self) -> GenerationRequest:
        """The request that makes this picture again."""
        return self.origin.request
