"""One job: a request becomes a picture on disk and a row in the history. Heavy: imports the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from sdtui import __version__
from sdtui.bundle import Bundle, locate
from sdtui.diffusion.events import PipelineEvent
from sdtui.diffusion.pipeline import Pipeline
from sdtui.engine.memory import Peak
from sdtui.history import History, Origin, PictureRecord
from sdtui.history.png import save_picture
from sdtui.request import GenerationRequest
from sdtui.settings import load_settings, places


class Maker:
    """Makes pictures, and keeps the last model loaded for the next one."""

    def __init__(self) -> None:
        self._pipeline: Pipeline | None = None
        self._kept: tuple[object, ...] = ()

    def make(
        self,
        job: str,
        request: GenerationRequest,
        on_event: Callable[[PipelineEvent], None],
        cancelled: Callable[[], bool],
    ) -> PictureRecord:
        """The picture of ``request`` (``count`` 1, with its seed), kept on disk and in the history.

        ``cancelled`` is asked between steps. Raises SdtuiError, or the pipeline's Cancelled.
        """
        peak = Peak()

        def observed(event: PipelineEvent) -> None:
            peak.sample()
            on_event(event)

        picture = self._pipeline_for(request).generate(request, observed, cancelled)
        created = datetime.now(UTC)
        origin = Origin(
            request=picture.request,
            model=picture.model,
            model_hash=picture.model_hash,
            runtime=picture.runtime,
            version=__version__,
        )
        path = save_picture(places().pictures, picture.image, origin, created)
        with History(places().history_file) as history:
            return history.add(
                path=path,
                origin=origin,
                size=picture.image.size,
                seconds=msgspec.structs.asdict(picture.seconds),
                peak_memory_bytes=peak.bytes(),
                job=job,
                created=created,
            )

    def _pipeline_for(self, request: GenerationRequest) -> Pipeline:
        """The pipeline that is kept, or a new one in its place where another is asked for."""
        low_memory = load_settings().low_memory
        wanted = (locate(request.model), request.compute_units, request.precision, low_memory)
        if self._pipeline is None or self._kept != wanted:
            bundle = Bundle.open(wanted[0])
            self.close()
            self._pipeline = Pipeline(bundle, request.compute_units, request.precision, low_memory=low_memory)
            self._kept = wanted
        return self._pipeline

    def close(self) -> None:
        """Give the memory back."""
        if self._pipeline is not None:
            self._pipeline.close()
        self._pipeline = None
