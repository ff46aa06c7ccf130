"""The studio: commands and threads around a session and its screen."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import MountError

from sdtui.diffusion.events import Preview
from sdtui.engine.protocol import Cancel, Move
from sdtui.request import RequestError
from sdtui.settings import Settings, SettingsError, TerminalImages, load_settings
from sdtui.terminal.capabilities import colour_depth
from sdtui.terminal.opening import Opening
from sdtui.terminal.protocols import promise_colours
from sdtui.tui import commands, messages, wishes
from sdtui.tui.draft import starting_draft
from sdtui.tui.driver import StudioDriver
from sdtui.tui.engine_link import Connection, EngineLink
from sdtui.tui.follower import Follower
from sdtui.tui.images import Images
from sdtui.tui.news import take_in
from sdtui.tui.projector import Projector
from sdtui.tui.reader import Reader
from sdtui.tui.remembered import recall, remember
from sdtui.tui.screens.create import Create
from sdtui.tui.session import Session
from sdtui.tui.signals import heed
from sdtui.tui.theme import FALLBACKS, NAME, THEME
from sdtui.tui.widgets.library import Library, Model
from sdtui.tui.widgets.queue import Queue
from sdtui.tui.widgets.recent import RecentStrip

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.command import Provider
    from textual.screen import Screen

    from sdtui.tui.presets import Preset

SAVE_SECONDS = 0.3
"""How long typing pauses before the draft is written to disk."""
PASSING_SECONDS = 0.1
"""How often, at most, steps and gauges are drawn: small models make dozens of steps a second."""
SAVING_SECONDS = 2.0
"""How long a slow disk may hold up the end."""
HAND_OVER_SECONDS = 10.0
"""How long, after the window has closed, an engine that is starting may take to accept its jobs."""


def reach_engine() -> Connection:
    """Connect to the engine, and start it where there is none. Raises EngineError."""
    from sdtui.engine.client import EngineClient

    return EngineClient.connect()


def _palette() -> type[Provider]:
    from sdtui.tui.palette import StudioCommands

    return StudioCommands


class Studio(App[None]):
    """``connect`` reaches the engine, and starts it where there is none; it may block."""

    TITLE = "sdtui"
    CSS_PATH: ClassVar[list[str | PurePath]] = [
        "app.tcss",
        "screens/create.tcss",
        "widgets/header.tcss",
        "widgets/canvas.tcss",
        "widgets/progress_line.tcss",
        "widgets/prompt_title.tcss",
        "widgets/prompt_editor.tcss",
        "widgets/request_panel.tcss",
        "widgets/lists.tcss",
        "widgets/memory.tcss",
        "widgets/recent.tcss",
        "widgets/key_hints.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = commands.BINDINGS
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}

    def __init__(
        self,
        connect: Callable[[], Connection] = reach_engine,
        opening: Opening | None = None,
        terminal_images: TerminalImages | None = None,
    ) -> None:
        super().__init__(driver_class=StudioDriver if opening else None)
        settings, complaint = _settings()
        self.opening = opening
        depth = colour_depth(os.environ, self.console.color_system)
        self.projector = Projector(
            opening.dialogue if opening else None, terminal_images or settings.terminal_images, depth
        )
        self.session = Session(recall(), starting_draft(settings))
        if complaint:
            self.session.complain(complaint)
        self.create = Create(self.session, depth)
        self.link = EngineLink(connect, lambda event: self.post(messages.FromEngine(event)))
        self.reader = Reader(self.post)
        self.models: tuple[Model, ...] = ()
        self.presets: Mapping[str, Preset] | None = None
        self.keymap: Mapping[str, str] = {}
        self.pictures = Images(self.reader.image)
        self._saving: Timer | None = None
        self._showing: Timer | None = None
        self._furnished = False
        self._early_keys: list[events.Key] | None = []
        self._offered: object = None
        self.register_theme(THEME)
        self._wanted_keymap = settings.keymap
        self.theme = settings.theme if settings.theme in self.available_themes else NAME
        self._colours = self.get_css_variables()
        self.stylesheet.set_variables(self._colours)

    def get_default_screen(self) -> Create:
        return self.create

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return FALLBACKS

    def refresh_css(self, animate: bool = True) -> None:
        """Where colours have changed: as it starts Textual asks for it too, just after reading all of it."""
        colours = self.get_css_variables()
        if colours != self._colours:
            self._colours = colours
            super().refresh_css(animate)

    # ---- coming and going -------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize):
            self.projector.resized()
        if self._early_keys is not None and isinstance(event, events.Key):
            self._early_keys.append(event)
        else:
            await super().on_event(event)

    async def on_ready(self) -> None:
        """The first frame is on the screen: take the keys typed ahead of it, then what takes longer."""
        keys, self._early_keys = self._early_keys or [], None
        for key in keys:
            await self.on_event(key)
        self.create.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        gc.freeze()
        gc.enable()  # off since the command line: there is no garbage in a start
        with contextlib.suppress(MountError, NoMatches):  # a window may close the moment it opens
            await self.create.furnish()
            self._furnished = True
        if not self._furnished:
            return
        if self._wanted_keymap:
            self._use_keymap(self._wanted_keymap)
        self.edited()
        if not self.is_headless:
            heed(self)
        self.link.start()
        self.reader.start()
        self.reader.models()
        self.reader.recent()
        self.reader.presets()
        self.reader.prompts()

    def _use_keymap(self, wanted: Mapping[str, str]) -> None:
        """Take the person's own keys, where they are in order."""
        from sdtui.tui.keymap import KeymapError, give_keys

        try:
            self.keymap = give_keys(self, wanted)
        except KeymapError as error:
            self.session.complain(error)

    async def action_quit(self) -> None:
        self._after_typing(self.leave)

    def leave(self) -> None:
        """Keep everything, and close the window; the engine goes on."""
        self.create.gather()
        self.link.stop()
        with contextlib.suppress(OSError):
            remember(self.session.remembered())
        self.exit()

    # ---- drawing and remembering --------------------------------------------------------------

    def show(self) -> None:
        """Draw the session as it is now."""
        if self._showing is not None:
            self._showing.stop()
            self._showing = None
        if not (self._furnished and self.is_running):  # while the window closes its parts go one by one
            return
        session = self.session
        self.create.show(self.models)
        for follower in self._followers():
            follower.show()
        image = self.pictures.of(session.shown) if session.shown else None
        if image or not session.shown:
            self.create.show_image(image, passing=isinstance(session.shown, Preview))
        offered = session.engine.idle, session.can_retry, session.engine.link
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def _show_soon(self) -> None:
        """Draw it with what else comes in the next moment."""
        if self._showing is None:
            self._showing = self.set_timer(PASSING_SECONDS, self.show)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        change = self.projector.frame.update(self, renderable)
        super()._display(screen, change)
        self.projector.displayed(change)

    def _followers(self) -> Iterator[Follower]:
        """The screens in sight, beside the main one, that show the session."""
        for screen in self.screen_stack[1:]:
            if isinstance(screen, Follower) and screen.is_mounted:
                yield screen

    @on(Create.Edited)
    def edited(self) -> None:
        self.show()
        if self._saving is not None:
            self._saving.stop()
        self._saving = self.set_timer(SAVE_SECONDS, self.save)

    def save(self) -> None:
        """Have the session written down, and the prompt counted."""
        self.reader.remember(self.session.remembered())
        self.reader.count_tokens(self.session.draft)
        self.reader.forecast(self.session.draft, self.models)

    # ---- commands ---------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key does something now; None where it does not but help still lists it."""
        if action == "screen" and parameters == ("help",):
            return self._furnished and not isinstance(self.screen, ModalScreen)
        if action in ("open", "screen"):
            return self._furnished and self.screen is self.create
        return commands.usable(action, self.session)

    def _after_typing(self, act: Callable[[], None]) -> None:
        """Act on everything that was typed: a command's key overtakes the letters before it, which
        wait in the editor's own queue, and their Changed messages come later still."""

        def gather_and_act() -> None:
            self.create.gather()
            for follower in self._followers():
                follower.gather()
            act()

        (self.screen.focused or self.create).call_later(gather_and_act)

    def ask(self, wanted: Callable[[], list[Any]]) -> None:
        """Send what the session wants to say to the engine."""
        try:
            for message in wanted():
                self.link.send(message)
        except RequestError as error:
            self.session.complain(error)
        self.edited()

    def action_generate(self) -> None:
        self._after_typing(self._generate)

    def _generate(self) -> None:
        if not self.session.draft.prompt and self.session.suggestion:
            self.create.use(self.session.draft.replace(prompt=self.session.suggestion))
        self.ask(self.session.generate)

    def action_next_seed(self) -> None:
        self._after_typing(lambda: self.ask(self.session.generate_next_seed))

    def action_retry(self) -> None:
        self.ask(self.session.retry)

    def action_stop(self) -> None:
        self.ask(self.session.stop)

    def action_unload(self) -> None:
        self.ask(self.session.unload)

    def action_lock_seed(self) -> None:
        draft = self.session.draft
        seeded = draft.with_seed() if draft.seed is None else draft
        self._after_typing(lambda: self.create.use(seeded.replace(seed_locked=not draft.seed_locked)))

    def action_undo_settings(self) -> None:
        self._after_typing(lambda: self.create.use(self.session.undo_settings()))

    def action_redo_settings(self) -> None:
        self._after_typing(lambda: self.create.use(self.session.redo_settings()))

    def action_use(self, field: str, value: str) -> None:
        self._after_typing(lambda: self.create.use(self.session.draft.replace(**{field: value})))

    def action_use_preset(self, name: str) -> None:
        from sdtui.tui.openings import use_preset

        if self.presets and name in self.presets:
            use_preset(self, self.presets[name])

    def action_use_theme(self, name: str) -> None:
        self.theme = name
        self.reader.save_theme(name)

    def action_command_palette(self) -> None:
        from sdtui.tui.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    def action_open(self, part: str) -> None:
        self.create.open(part)

    def action_redraw(self) -> None:
        self.projector.forget()
        self.screen.refresh()

    def action_close(self) -> None:
        self.create.close()

    def action_screen(self, name: str) -> None:
        from sdtui.tui.openings import OPENINGS

        self._after_typing(lambda: OPENINGS[name](self))

    def back(self) -> None:
        """Close every screen above the main one."""
        while self.screen is not self.create:
            self.pop_screen()
        self.reader.recent()  # some may have been deleted up there

    @on(Library.MoreWanted)
    def _more_models_wanted(self) -> None:
        self.action_screen("convert")

    @on(Library.DetailsWanted)
    def _details_wanted(self, event: Library.DetailsWanted) -> None:
        from sdtui.tui.screens.model_details import ModelDetails

        self.push_screen(ModelDetails(event.model.reference))

    @on(Queue.Removed)
    def _job_removed(self, event: Queue.Removed) -> None:
        self.link.send(Cancel(event.job))

    @on(Queue.Moved)
    def _job_moved(self, event: Queue.Moved) -> None:
        self.link.send(Move(event.job, event.way))

    # ---- what a person wants done with a picture ----------------------------------------------

    @on(wishes.Take)
    @on(wishes.Mark)
    @on(wishes.Vary)
    @on(wishes.StartFrom)
    def _wished(self, wish: wishes.Wish) -> None:
        from sdtui.tui.openings import fulfil

        fulfil(self, wish)

    @on(RecentStrip.Wanted)
    def _thumbnails_wanted(self, event: RecentStrip.Wanted) -> None:
        self.reader.thumbnails(event.pictures)

    # ---- what the threads say ---------------------------------------------------------------

    def post(self, message: Message) -> None:
        """Post from another thread, which may outlive the window and its event loop."""
        if self.is_running:
            with contextlib.suppress(RuntimeError):
                self.post_message(message)

    @on(messages.FromEngine)
    @on(messages.ModelsListed)
    @on(messages.PresetsRead)
    @on(messages.RecentListed)
    @on(messages.ImageLoaded)
    @on(messages.ThumbnailsLoaded)
    @on(messages.SheetWritten)
    @on(messages.PeakForecast)
    @on(messages.PromptsRead)
    @on(messages.TokensCounted)
    @on(messages.Found)
    @on(messages.Forecasted)
    @on(messages.WentWrong)
    def _from_thread(self, message: messages.FromThread) -> None:
        if not self.is_running:
            return  # the window is closing, and its parts may be gone already
        take_in(self, message)
        if isinstance(message, messages.FromEngine) and message.passing:
            self._show_soon()
        else:
            self.show()


def _settings() -> tuple[Settings, SettingsError | None]:
    """The settings, or the defaults and why."""
    try:
        return load_settings(), None
    except SettingsError as error:
        return Settings(), error


def run(opening: Opening | None = None, terminal_images: TerminalImages | None = None) -> int:
    """Open the studio; returns the exit code when the person has left it.

    ``opening`` is the terminal as it was asked while all this was being imported.
    """
    if opening is not None:
        opening.listen(0)
        promise_colours(opening.dialogue.report, os.environ)
    studio = Studio(opening=opening, terminal_images=terminal_images)
    studio.run()
    studio.reader.finish(SAVING_SECONDS)
    if not studio.session.engine.idle:
        print(studio.session.goodbye(studio.link.wait(HAND_OVER_SECONDS)))
    return studio.return_code or 0
