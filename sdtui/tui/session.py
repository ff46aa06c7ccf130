"""What happens in the studio, without the studio: no Textual here."""

from __future__ import annotations

import os
from typing import Literal, TypeVar

import msgspec

from sdtui.conversion import ConversionReport, ConversionRequest
from sdtui.diffusion.events import Preview, Step
from sdtui.engine.protocol import (
    Cancel,
    Cancelled,
    Conversion,
    Convert,
    EngineMessage,
    Failed,
    Failure,
    Finished,
    Stop,
    Submit,
)
from sdtui.errors import SdtuiError
from sdtui.request import GenerationRequest
from sdtui.tui.axes import Axis, crossed
from sdtui.tui.completion import NEGATIVE_TAGS, TAGS, Vocabulary
from sdtui.tui.conversion_draft import ConversionDraft
from sdtui.tui.converting import verdict
from sdtui.tui.draft import Draft, draft_of
from sdtui.tui.engine_link import Connected, Connecting, LinkEvent, Lost
from sdtui.tui.engine_view import EngineView
from sdtui.tui.farewell import farewell
from sdtui.tui.figures import gigabytes
from sdtui.tui.memory_forecast import Forecast
from sdtui.tui.prompts import PromptWalk
from sdtui.tui.remembered import Remembered
from sdtui.tui.settings_undo import SettingsUndo
from sdtui.tui.sheet import Sheet, Sheets

Wanted = TypeVar("Wanted", bound=Submit | Convert)

SUGGESTION = "red apple on a blue background"


class Picture(msgspec.Struct, frozen=True):
    """A finished picture: its history id, PNG, size in pixels, the request and the model that made it."""

    id: int
    path: str
    width: int
    height: int
    request: GenerationRequest
    model: str
    favourite: bool = False


class Notice(msgspec.Struct, frozen=True):
    """The one line about what just happened, and the ``file`` it is about, if any.

    ``failed`` lines stay until the next generation.
    """

    text: str
    kind: Literal["said", "failed"] = "said"
    file: str = ""


def failure_line(failure: Failure | SdtuiError) -> str:
    """``what — why — what to do``."""
    return " — ".join(part for part in (failure.what, failure.why, failure.remedy) if part)


class Session:
    """The draft, the engine as seen from here, the pictures, and what to tell the person.

    Methods that want something from the engine return the messages to send to it.
    """

    def __init__(self, remembered: Remembered, defaults: Draft) -> None:
        self.first_run = remembered.draft is None
        self.draft = remembered.draft or defaults
        self.walk = PromptWalk(remembered.prompts, self.draft.prompt)
        self.words = Vocabulary(TAGS, self.walk.earlier)
        self.negative_words = Vocabulary(NEGATIVE_TAGS)
        self.undo = SettingsUndo()
        self.seen = remembered.seen
        self.conversion: ConversionDraft = remembered.conversion
        self.sheets = Sheets(remembered.sheets)
        self._sheets_shown = 0
        self._unloading = False
        self.converted: ConversionReport | None = None
        self.engine = EngineView()
        self.forecast: Forecast | None = None
        self.recent: tuple[Picture, ...] = ()
        self.unseen: frozenset[int] = frozenset()
        self.opened: Picture | None = None
        self.marked: Picture | None = None
        self.latest: Picture | None = None
        self.preview: Preview | None = None
        self.notice: Notice | None = None
        self._mine: set[str] = set()
        self._retry: tuple[Submit | Convert, ...] = ()
        self.recent_known = False

    # ---- writing ----------------------------------------------------------------------------

    def write(self, draft: Draft) -> None:
        """The editors and the request panel read like this."""
        self.walk.write(draft.prompt)
        self.undo.note(self.draft, draft)
        self.draft = draft

    def walk_prompts(self, by: int) -> bool:
        """Go to an earlier (+1) or later (-1) prompt; False when there is none."""
        moved = self.walk.move(by)
        self.draft = self.draft.replace(prompt=self.walk.text)
        return moved

    def take(self, request: GenerationRequest) -> None:
        """Go on from a picture's request; the prompt that stood in the editor is kept."""
        self.walk.keep()
        self.undo.settle()
        self.undo.note(self.draft, draft_of(request))
        self.draft = draft_of(request)
        self.walk.write(request.prompt)
        self.opened = None

    def undo_settings(self) -> Draft:
        """Take the last change of the settings back."""
        self.draft = self.undo.back(self.draft)
        return self.draft

    def redo_settings(self) -> Draft:
        """Make again the change that was taken back."""
        self.draft = self.undo.forth(self.draft)
        return self.draft

    @property
    def suggestion(self) -> str:
        """What to offer in an empty prompt, before anything was ever made."""
        return SUGGESTION if self.recent_known and not self.recent and not self.walk.earlier else ""

    # ---- asking the engine ------------------------------------------------------------------

    def generate(self) -> list[Submit]:
        """Queue the draft's pictures. Raises :class:`~sdtui.request.RequestError`."""
        return self._generate(self.draft.with_seed())

    def generate_next_seed(self) -> list[Submit]:
        """Queue the same with the next seed. Raises :class:`~sdtui.request.RequestError`."""
        return self._generate(self.draft.with_next_seed())

    def _generate(self, draft: Draft) -> list[Submit]:
        from sdtui.diffusion.prompt.submission import pictures

        requests = tuple(pictures(draft.request()))
        self.draft = draft
        self.undo.settle()
        self.words.learn([draft.prompt])
        self.negative_words.learn([draft.negative_prompt])
        self.walk.keep()
        self.opened = None
        return self._submit(tuple(map(_job_for, requests)))

    def generate_sheet(self, request: GenerationRequest, x: Axis, y: Axis) -> list[Submit]:
        """Queue a picture for each cell of an X/Y sheet. Raises :class:`~sdtui.request.RequestError`."""
        from sdtui.diffusion.prompt.submission import pictures

        request = request.seeded().replace(count=1)
        cells = (picture for cell in crossed(request, x, y) for picture in pictures(cell))
        wanted = tuple(map(_job_for, cells))
        self.sheets.add(Sheet(request, x, y, tuple(each.job for each in wanted)))
        return self._submit(wanted)

    def show_sheet(self, sheet: Sheet, path: str, size: tuple[int, int]) -> None:
        """A sheet is on disk."""
        self._sheets_shown += 1
        # It is no row of the history: a number below those of all pictures is its name here.
        self.latest = Picture(-self._sheets_shown, path, *size, sheet.request, "")
        self.opened = None
        self.notice = Notice("the X/Y sheet is done", file=path)

    def convert(self, request: ConversionRequest) -> list[Convert]:
        """Queue a conversion, whose files are absolute paths."""
        return self._submit((_conversion_for(request),))

    def retry(self) -> list[Submit | Convert]:
        """Queue again what failed or was lost."""
        return self._submit(self._retry)

    @property
    def can_retry(self) -> bool:
        """Whether something failed that can be asked for again."""
        return bool(self._retry)

    def _submit(self, wanted: tuple[Wanted, ...]) -> list[Wanted]:
        for each in wanted:
            if isinstance(each, Submit):
                self.engine = self.engine.submitted(each.job, each.request)
            else:
                self.engine = self.engine.asked(each.job, each.request)
            self._mine.add(each.job)
        self.notice = None
        self._retry = ()
        return list(wanted)

    def stop(self) -> list[Cancel]:
        """Stop the running picture, or the next one when none runs yet; without pictures, the conversion."""
        job = self.engine.running or next(iter(self.engine.waiting), None) or self.engine.converting
        return [Cancel(job.job)] if job else []

    def unload(self) -> list[Stop]:
        """Have the engine give all its memory back; it is not asked while it has something to do."""
        if self.engine.link != "on" or not self.engine.idle:
            return []
        self._unloading = True
        return [Stop()]

    # ---- hearing from it --------------------------------------------------------------------

    def hear(self, event: LinkEvent) -> None:
        """Something happened in the engine, or on the way to it."""
        match event:
            case Connecting():
                self.engine = self.engine.connecting()
            case Connected():
                self.engine = self.engine.connected()
            case Lost(failure):
                self._lose(failure)
            case message:
                self._hear(message)

    def _hear(self, message: EngineMessage) -> None:
        before = self.engine
        self.engine = before.hear(message)
        match message:
            case Finished(_, request, result):
                self.latest = Picture(
                    result.picture, result.path, result.width, result.height, request, result.model
                )
                self.notice = Notice(
                    f"done in {result.seconds.total:.1f} s   seed {request.seed}", file=result.path
                )
            case Failed(job, failure):
                self.notice = Notice(failure_line(failure), "failed")
                self._retry += tuple(map(_job_for, _requests(before, job)))
            case Cancelled(job) if job in self._mine:
                self.notice = Notice("stopped")
            case Conversion() if any(each.job == message.job for each in before.conversions):
                self._hear_conversion(message)
        running = self.engine.running
        self.preview = _preview(running.progress) or self.preview if running else None

    def _hear_conversion(self, conversion: Conversion) -> None:
        """A conversion that was known and not done yet stands differently."""
        match conversion:
            case Conversion(report=ConversionReport() as report):
                text, good = verdict(report, conversion.request.name)
                self.converted = report
                self.notice = Notice(text, "said" if good else "failed")
            case Conversion(failure=Failure() as failure):
                self.notice = Notice(failure_line(failure), "failed")
                self._retry += (_conversion_for(conversion.request),)
            case Conversion(state="cancelled"):
                self.notice = Notice(
                    f"stopped converting {conversion.request.name} — what is done is kept", "failed"
                )
                self._retry += (_conversion_for(conversion.request),)

    def _lose(self, failure: Failure) -> None:
        if self._unloading and self.engine.idle:
            freed = self.engine.memory.engine if self.engine.memory else 0
            self.engine = self.engine.ended()
            self.notice = Notice(f"unloaded: {gigabytes(freed).strip()} GB are free again")
            self._unloading = False
            return
        self._unloading = False
        lost, conversions = self.engine.jobs, self.engine.conversions
        self.engine = self.engine.disconnected()
        self.preview = None
        # The engine keeps what waited and knows it by name; what ran is over and needs a new one.
        self._retry += tuple(
            _job_for(job.request) if job.state == "running" else Submit(job.job, job.request) for job in lost
        )
        self._retry += tuple(Convert(each.job, each.request) for each in conversions)
        self.notice = Notice(failure_line(failure), "failed")

    def complain(self, error: SdtuiError) -> None:
        """Tell the person what did not work."""
        self.notice = Notice(failure_line(error), "failed")

    # ---- pictures ---------------------------------------------------------------------------

    def list_recent(self, pictures: tuple[Picture, ...]) -> None:
        """The newest pictures of the history, newest first."""
        first_time, self.recent_known = not self.recent_known, True
        self.recent = pictures
        if first_time:
            self.walk.extend([picture.request.prompt for picture in pictures])
            self._welcome(pictures)
        self.seen = max((picture.id for picture in pictures), default=self.seen)

    def _welcome(self, pictures: tuple[Picture, ...]) -> None:
        self.latest = self.latest or next(iter(pictures), None)
        if self.seen is None:
            return
        self.unseen = frozenset(picture.id for picture in pictures if picture.id > (self.seen or 0))
        if self.unseen:
            counted = "1 picture" if len(self.unseen) == 1 else f"{len(self.unseen)} pictures"
            self.notice = self.notice or Notice(f"welcome back — {counted} finished while you were away")

    def open(self, picture: Picture | None) -> None:
        """Show an earlier picture with its request, or (None) what is being made."""
        self.opened = picture
        if picture:
            self.unseen -= {picture.id}

    def mark(self, picture: Picture) -> tuple[Picture, Picture] | None:
        """Mark a picture; where another is marked already, the two to compare.

        The first mark stays, for a third to be compared with it, until its own picture is marked again.
        """
        if self.marked is None:
            self.marked = picture
            return None
        if self.marked.id == picture.id:
            self.marked = None
            return None
        return self.marked, picture

    @property
    def to_compare(self) -> tuple[Picture, Picture] | None:
        """The marked picture or the one before, and what is shown; None where there are no two."""
        newer = self.opened or self.latest
        if newer is None:
            return None
        others = (each for each in self.recent if each.id < newer.id)
        older = self.marked if self.marked and self.marked.id != newer.id else next(others, None)
        return (older, newer) if older else None

    @property
    def shown(self) -> Picture | Preview | None:
        """What belongs on the canvas: the opened picture, the one in the making, or the latest."""
        return self.opened or self.preview or self.latest

    @property
    def shown_request(self) -> GenerationRequest | None:
        """The request of what is on the canvas."""
        if self.opened:
            return self.opened.request
        if self.preview and self.engine.running:
            return self.engine.running.request
        return self.latest.request if self.latest else None

    @property
    def line(self) -> Notice | None:
        """What to say while nothing is being made: what failed, what is shown, what happened last."""
        failed = self.notice is not None and self.notice.kind == "failed"
        if self.opened and not failed:
            return Notice(f"picture {self.opened.id}", file=self.opened.path)
        return self.notice

    # ---- between runs -----------------------------------------------------------------------

    def remembered(self) -> Remembered:
        """What the next run needs to go on from here."""
        return Remembered(
            draft=self.draft,
            prompts=self.walk.earlier,
            seen=self.seen,
            conversion=self.conversion,
            sheets=self.sheets.waiting,
        )

    def goodbye(self, handed_over: bool) -> str:
        """What to say after the window closed on unfinished jobs."""
        return farewell(self.engine, handed_over)


def _job_for(request: GenerationRequest) -> Submit:
    return Submit(os.urandom(8).hex(), request)


def _conversion_for(request: ConversionRequest) -> Convert:
    return Convert(os.urandom(8).hex(), request)


def _requests(engine: EngineView, name: str) -> tuple[GenerationRequest, ...]:
    job = engine.job(name)
    return (job.request,) if job else ()


def _preview(event: object) -> Preview | None:
    return event.preview if isinstance(event, Step) else None
