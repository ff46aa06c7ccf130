"""The studio: keys and messages in, session and screen out."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App
from textual.timer import Timer
from textual.widgets import TextArea

from sdtui.diffusion.events import Preview
from sdtui.engine.client import EngineClient
from sdtui.engine.protocol import Cancel, Finished, Snapshot
from sdtui.errors import SdtuiError
from sdtui.request import GenerationRequest, RequestError
from sdtui.settings import Settings, SettingsError, load_settings
from sdtui.terminal.capabilities import colour_depth
from sdtui.tui import disk, messages
from sdtui.tui.background import Background
from sdtui.tui.draft import Draft
from sdtui.tui.engine_link import Connected, Connecting, Connection, EngineLink, Lost
from sdtui.tui.remembered import recall, remember
from sdtui.tui.screens.create import Create
from sdtui.tui.session import Notice, Picture, Session, failure_line
from sdtui.tui.theme import NAME, THEME
from sdtui.tui.widgets.library import Library, Model
from sdtui.tui.widgets.prompt_editor import PromptEditor
from sdtui.tui.widgets.queue import Queue
from sdtui.tui.widgets.recent import RecentStrip
from sdtui.tui.widgets.request_panel import RequestPanel

if TYPE_CHECKING:
    from PIL import Image

RECENT = 24
"""Pictures in the strip."""
IMAGES_KEPT = 12
THUMBNAIL_PIXELS = 64
SAVE_SECONDS = 0.3
"""How long typing pauses before the draft is written to disk."""


class Studio(App[None]):
    """``connect`` reaches the engine, and starts it where there is none; it may block."""

    TITLE = "sdtui"
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        "app.tcss",
        "screens/create.tcss",
        "widgets/header.tcss",
        "widgets/canvas.tcss",
        "widgets/progress_line.tcss",
        "widgets/prompt_editor.tcss",
        "widgets/request_panel.tcss",
        "widgets/lists.tcss",
        "widgets/memory.tcss",
        "widgets/recent.tcss",
        "widgets/key_line.tcss",
    ]
    BINDINGS = BINDINGS
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, connect: Callable[[], Connection] = EngineClient.connect) -> None:
        super().__init__()
        settings, complaint = _settings()
        self.session = Session(recall(), _defaults(settings))
        if complaint:
            self.session.notice = Notice(failure_line(complaint), "failed")
        self.link = EngineLink(connect, lambda event: self.post_message(messages.FromEngine(event)))
        self.background = Background(lambda error: self.post_message(messages.WentWrong(error)))
        self.models: tuple[Model, ...] = ()
        self._images: OrderedDict[int, Image.Image] = OrderedDict()
        self._saving: Timer | None = None
        self.register_theme(THEME)
        self.theme = settings.theme if settings.theme in self.available_themes else NAME

    def get_default_screen(self) -> Create:
        return Create(colour_depth(os.environ, self.console.color_system))

    @property
    def create(self) -> Create:
        """The main screen, also while another lies over it."""
        screen = self.screen_stack[0]
        assert isinstance(screen, Create)
        return screen

    # ---- coming and going -------------------------------------------------------------------

    def on_ready(self) -> None:
        """The first frame is on the screen and keys are taken: now what takes longer."""
        self.show()
        self.link.start()
        self.background.start()
        self.background.do(self._read_models)
        self.background.do(self._read_recent)

    async def action_quit(self) -> None:
        self.link.stop()
        self._save_now()
        self.exit()

    # ---- drawing ----------------------------------------------------------------------------

    def show(self) -> None:
        """Draw the session as it is now."""
        self.create.show(self.session, self.models, "f9")
        match self.session.shown:
            case Preview(width, height, rgb):
                from PIL import Image

                self.create.show_image(Image.frombytes("RGB", (width, height), rgb))
            case Picture() as picture if picture.id in self._images:
                self._images.move_to_end(picture.id)
                self.create.show_image(self._images[picture.id])
            case Picture() as picture:
                self.background.do(lambda: self._read_image(picture))
            case None:
                self.create.show_image(None)
        self.refresh_bindings()

    def say(self, error: SdtuiError) -> None:
        """Tell the person what did not work."""
        self.session.notice = Notice(failure_line(error), "failed")
        self.show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        match action:
            case "stop":
                return bool(self.session.engine.jobs)
            case "retry":
                return self.session.can_retry
            case _:
                return True

    # ---- in the background ------------------------------------------------------------------

    def _read_models(self) -> None:
        self.post_message(messages.ModelsListed(disk.models()))
        self._count_tokens(self.session.draft)

    def _read_recent(self) -> None:
        self.post_message(messages.RecentListed(disk.search("", RECENT)))

    def _read_image(self, picture: Picture) -> None:
        if picture.id not in self._images:
            self.post_message(messages.ImageLoaded(picture.id, disk.image(picture)))

    def _read_thumbnails(self, pictures: list[Picture]) -> None:
        images: dict[int, Image.Image] = {}
        for picture in pictures:
            with contextlib.suppress(disk.PictureError):  # said when the picture is opened
                images[picture.id] = disk.image(picture, THUMBNAIL_PIXELS)
        self.post_message(messages.ThumbnailsLoaded(images))

    def _count_tokens(self, draft: Draft) -> None:
        tokens = disk.tokenizer(draft.model).encode(draft.prompt)
        self.post_message(messages.TokensCounted(tokens.count, tokens.limit))

    # ---- the draft is saved while it is written ---------------------------------------------

    def _changed(self) -> None:
        """The draft changed: draw it, and write it down when the typing pauses."""
        self.show()
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(SAVE_SECONDS, self._save)

    def _save(self) -> None:
        remembered, draft = self.session.remembered(), self.session.draft
        self.background.do(lambda: remember(remembered))
        self.background.do(lambda: self._count_tokens(draft))

    def _save_now(self) -> None:
        with contextlib.suppress(OSError):
            remember(self.session.remembered())

    # ---- commands ---------------------------------------------------------------------------

    def _ask(self, wanted: Callable[[], list[Any]]) -> None:
        """Send what the session wants to say to the engine."""
        try:
            for message in wanted():
                self.link.send(message)
        except RequestError as error:
            self.say(error)
        else:
            self._changed()

    def action_generate(self) -> None:
        self.create.query_one("#prompt", PromptEditor).take_ghost()
        self.session.write_prompt(self.create.query_one("#prompt", PromptEditor).text)
        self._ask(self.session.generate)

    def action_next_seed(self) -> None:
        self._ask(self.session.generate_next_seed)

    def action_retry(self) -> None:
        self._ask(self.session.retry)

    def action_stop(self) -> None:
        self._ask(self.session.stop)

    def action_lock_seed(self) -> None:
        draft = self.session.draft
        locked = draft.with_seed() if draft.seed is None else draft
        self._use(locked.replace(seed_locked=not draft.seed_locked))

    def action_open(self, part: str) -> None:
        self.create.open(part)

    def action_close(self) -> None:
        self.session.open(None)
        self.create.close()
        self.show()

    def _use(self, draft: Draft) -> None:
        self.session.draft = draft
        self._changed()

    def take(self, request: GenerationRequest) -> None:
        """Go on from this request."""
        self.session.take(request)
        self.create.close()
        self._changed()

    # ---- what people do on the screen -------------------------------------------------------

    @on(TextArea.Changed, "#prompt")
    def _prompt_written(self, event: TextArea.Changed) -> None:
        if event.text_area.text != self.session.draft.prompt:
            self.session.write_prompt(event.text_area.text)
            self._changed()

    @on(TextArea.Changed, "#negative")
    def _negative_written(self, event: TextArea.Changed) -> None:
        if event.text_area.text != self.session.draft.negative_prompt:
            self._use(self.session.draft.replace(negative_prompt=event.text_area.text))

    @on(PromptEditor.Walked)
    def _walked(self, event: PromptEditor.Walked) -> None:
        if self.session.walk_prompts(event.by):
            self._changed()

    @on(RequestPanel.Changed)
    def _request_changed(self, event: RequestPanel.Changed) -> None:
        self._use(event.draft)

    @on(RequestPanel.Refused)
    def _request_refused(self, event: RequestPanel.Refused) -> None:
        self.say(event.error)

    @on(Library.Chosen)
    def _model_chosen(self, event: Library.Chosen) -> None:
        self._use(self.session.draft.replace(model=event.model.reference))
        self.create.close()

    @on(Queue.Removed)
    def _job_removed(self, event: Queue.Removed) -> None:
        self.link.send(Cancel(event.job.job))

    @on(RecentStrip.Opened)
    def _picture_opened(self, event: RecentStrip.Opened) -> None:
        self.session.open(event.picture)
        self.show()

    @on(RecentStrip.Taken)
    def _picture_taken(self, event: RecentStrip.Taken) -> None:
        self.take(event.picture.request)

    # ---- what the threads say ---------------------------------------------------------------

    @on(messages.FromEngine)
    def _from_engine(self, message: messages.FromEngine) -> None:
        match message.event:
            case Connecting():
                self.session.engine = self.session.engine.connecting()
            case Connected():
                self.session.engine = self.session.engine.connected()
            case Lost(failure):
                self.session.lose(failure)
            case event:
                self.session.hear(event)
                if isinstance(event, Finished | Snapshot):
                    self.background.do(self._read_recent)
        self.show()

    @on(messages.ModelsListed)
    def _models_listed(self, message: messages.ModelsListed) -> None:
        self.models = message.models
        self.show()

    @on(messages.RecentListed)
    def _recent_listed(self, message: messages.RecentListed) -> None:
        self.session.list_recent(message.pictures)
        self._changed()
        missing = self.create.query_one(RecentStrip).missing
        if missing:
            self.background.do(lambda: self._read_thumbnails(missing))

    @on(messages.ImageLoaded)
    def _image_loaded(self, message: messages.ImageLoaded) -> None:
        self._images[message.identity] = message.image
        while len(self._images) > IMAGES_KEPT:
            self._images.popitem(last=False)
        self.show()

    @on(messages.ThumbnailsLoaded)
    def _thumbnails_loaded(self, message: messages.ThumbnailsLoaded) -> None:
        self.create.query_one(RecentStrip).add_thumbnails(message.images)

    @on(messages.TokensCounted)
    def _tokens_counted(self, message: messages.TokensCounted) -> None:
        self.create.show_tokens(message.count, message.limit)

    @on(messages.WentWrong)
    def _went_wrong(self, message: messages.WentWrong) -> None:
        self.say(message.error)


def _settings() -> tuple[Settings, SettingsError | None]:
    """The settings, or the defaults and why."""
    try:
        return load_settings(), None
    except SettingsError as error:
        return Settings(), error


def _defaults(settings: Settings) -> Draft:
    return Draft(
        negative_prompt=settings.negative_prompt,
        model=settings.model,
        steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        scheduler=settings.scheduler,
        rng=settings.rng,
        compute_units=settings.compute_units,
        precision=settings.precision,
    )


def run() -> int:
    """Open the studio; returns the exit code when the person has left it."""
    studio = Studio()
    studio.run()
    if goodbye := studio.session.goodbye:
        print(goodbye)
    return studio.return_code or 0
