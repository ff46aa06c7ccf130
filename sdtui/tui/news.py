"""What the studio's threads say, and where in the studio it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdtui.engine.protocol import Conversion, Finished, Snapshot
from sdtui.tui import messages
from sdtui.tui.calling import call, news
from sdtui.tui.engine_link import LinkEvent
from sdtui.tui.widgets.recent import RecentStrip

if TYPE_CHECKING:
    from sdtui.tui.app import Studio


def take_in(studio: Studio, message: messages.FromThread) -> None:
    """Bring a message to those whom it concerns."""
    match message:
        case messages.FromEngine(event):
            _hear(studio, event)
        case messages.ModelsListed(models):
            studio.models = models
            studio.save()
        case messages.PresetsRead(presets):
            studio.presets = presets
        case messages.RecentListed(pictures):
            studio.session.list_recent(pictures)
            studio.save()
        case messages.ImageLoaded(identity, image):
            studio.pictures.add(identity, image)
        case messages.ThumbnailsLoaded(images):
            studio.create.query_one(RecentStrip).add_thumbnails(images)
        case messages.SheetWritten(sheet, path, size):
            studio.session.show_sheet(sheet, path, size)
            studio.save()
        case messages.PeakForecast(forecast):
            studio.session.forecast = forecast
        case messages.PromptsRead(prompts, negative_prompts):
            studio.session.words.learn(prompts)
            studio.session.negative_words.learn(negative_prompts)
        case messages.TokensCounted(count, limit):
            studio.create.show_tokens(count, limit)
        case messages.Found() | messages.Forecasted():
            studio.screen.post_message(message)
        case messages.WentWrong(error):
            studio.session.complain(error)


def _hear(studio: Studio, event: LinkEvent) -> None:
    """The engine, or the link to it, says something."""
    before = studio.session.engine
    studio.session.hear(event)
    if ended := news(before, event):
        call(studio, ended)
    if isinstance(event, Finished | Snapshot):
        studio.reader.recent()
    for sheet in studio.session.sheets.ready(studio.session.engine):
        studio.reader.put_together(sheet)
    if isinstance(event, Snapshot) or (isinstance(event, Conversion) and event.report):
        studio.reader.models()
