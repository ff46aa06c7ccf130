"""The engine: one resident process per person, which outlives windows and lost connections.

It holds the queues, has one worker process make pictures and another one convert, and tells its
clients what happens. It never computes itself and imports nothing heavy, so it always answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from functools import partial

from sdtui import __version__
from sdtui.diffusion.events import PipelineEvent
from sdtui.engine.address import Address
from sdtui.engine.awake import Awake
from sdtui.engine.conversions import Conversions
from sdtui.engine.framing import FramingError, Unframer
from sdtui.engine.memory import Meter
from sdtui.engine.protocol import (
    VERSION,
    Ask,
    Cancel,
    Cancelled,
    ClientMessage,
    Convert,
    EngineMessage,
    Failed,
    Failure,
    Finished,
    Gauge,
    Hello,
    Memory,
    Move,
    Progress,
    Queued,
    Reordered,
    Result,
    Snapshot,
    Stop,
    Submit,
    Watch,
)
from sdtui.engine.queue import JobQueue, Outcome, outcome_of
from sdtui.engine.visitor import Visitor
from sdtui.engine.workbench import Workbench
from sdtui.errors import SdtuiError
from sdtui.files import sweep
from sdtui.history import History
from sdtui.history.inputs import keep_pictures
from sdtui.history.trash import empty_trash
from sdtui.settings import Places, Settings, load_settings, places

TICK_SECONDS = 0.5
EMPTYING_SECONDS = 86_400.0
"""How often an engine that stays looks whether something has been in the trash for long enough."""
log = logging.getLogger(__name__)


class Host:
    """The engine's state. :meth:`run` is its life."""

    def __init__(self, places: Places, settings: Settings) -> None:
        self._places = places
        self._unload_seconds = settings.unload_minutes * 60
        self._trash_days = settings.trash_days
        self._emptied_at = float("-inf")
        self._idle_seconds = settings.engine_idle_minutes * 60
        self._queue = JobQueue(places.queue_file)
        self._conversions = Conversions(places.conversions_file, self._tell)
        self._visitors: set[Visitor] = set()
        self._bench = Workbench(places.log)
        self._meter = Meter()
        self._awake = Awake()
        self._work = asyncio.Event()
        self._over = asyncio.Event()
        self._unsaved = False
        self._last_use = asyncio.get_running_loop().time()

    # ---- life ------------------------------------------------------------------------------

    async def run(self, address: Address) -> None:
        """Serve at ``address`` until stopped, or until nobody has needed anything for long enough."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._over.set)
        sweep(self._places.pictures)
        sweep(self._places.inputs)
        self._queue.restore(self._finished_before)
        self._queue.save()
        if not self._queue.idle:
            self._work.set()
        await address.serve(self._welcome)
        lives = (
            self._over.wait(),
            self._work_through_queue(),
            self._conversions.run(),
            self._keep_house(address),
        )
        tasks = [loop.create_task(life) for life in lives]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            address.leave()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._awake.keep(False)
            self._queue.put_back()
            self._queue.save()
            await self._bench.clear()
            await asyncio.gather(*(visitor.leave() for visitor in self._visitors))

    async def _keep_house(self, address: Address) -> None:
        """Twice a second: tell the watchers the memory, unload what is idle, leave when not needed."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._conversions.survey()
            self._awake.keep(not self._idle)
            self._gauge()
            with contextlib.suppress(OSError, SdtuiError):  # a log-out may sweep the runtime folder
                await address.keep(self._welcome)
            if await self._bench.unload(self._unload_seconds):
                self._gauge()
            if not self._idle:
                self._last_use = loop.time()
            elif loop.time() - self._emptied_at > EMPTYING_SECONDS:
                self._emptied_at = loop.time()
                await asyncio.to_thread(self._empty_trash)
            if not self._visitors and loop.time() - self._last_use >= self._idle_seconds:
                log.info("nobody needs the engine")
                return

    def _empty_trash(self) -> None:
        """Remove what was deleted long ago; what cannot be removed now may be another day."""
        try:
            emptied = empty_trash(self._places, self._trash_days)
        except (SdtuiError, OSError) as error:
            log.error("the trash is not emptied: %s", error)
            return
        if emptied.bytes:
            log.info("the trash is emptied: %d pictures, %d inputs", emptied.pictures, emptied.inputs)

    @property
    def _idle(self) -> bool:
        return self._queue.idle and self._conversions.idle

    # ---- work ------------------------------------------------------------------------------

    async def _work_through_queue(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while job := self._queue.take():
                self._changed()
                self._gauge()
                self._conclude(await self._bench.make(job, partial(self._advance, job.job)))
            with contextlib.suppress(OSError):
                await self._bench.ready()  # its imports take seconds: have them done when a job comes

    def _advance(self, job: str, event: PipelineEvent) -> None:
        """The running job came one event further: remember and tell it."""
        self._queue.advance(event)
        self._tell(Progress(job, event, self._memory()))

    def _conclude(self, outcome: Outcome) -> None:
        """A job has ended: remember and tell it."""
        self._last_use = asyncio.get_running_loop().time()
        self._queue.end(outcome)
        self._changed()
        self._tell(outcome)
        self._gauge()

    # ---- clients ---------------------------------------------------------------------------

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitor = Visitor(writer)
        self._visitors.add(visitor)
        unframer: Unframer[ClientMessage] = Unframer(ClientMessage)
        visitor.send(Hello(VERSION, __version__, os.getpid(), not self._idle))
        try:
            while data := await reader.read(1 << 16):
                for message in unframer.feed(data):
                    self._answer(visitor, message)
        except FramingError as error:
            log.error("a client is not understood: %s", error)
        except OSError:
            pass
        finally:
            self._visitors.discard(visitor)
            self._last_use = asyncio.get_running_loop().time()
            await visitor.leave()

    def _answer(self, visitor: Visitor, message: ClientMessage) -> None:
        match message:
            case Submit():
                visitor.send(self._accept(visitor, message))
            case Convert(job=job, request=request):
                conversion = self._conversions.put(job, request)
                visitor.send(conversion)
                self._tell(conversion, but=visitor)
            case Cancel(job=job):
                self._cancel(job)
                self._conversions.cancel(job)
            case Move(job=job, way=way):
                if self._queue.move(job, way):
                    self._changed()
                    self._tell(Reordered(self._queue.waiting))
            case Watch():
                visitor.watching = True
                visitor.send(self._snapshot())
                self._work.set()
            case Ask():
                visitor.send(self._snapshot())
            case Stop():
                for name in self._queue.unfinished():
                    self._conclude(Cancelled(name))
                self._conversions.cancel_all()
                self._over.set()

    def _accept(self, visitor: Visitor, message: Submit) -> EngineMessage:
        """Queue a job, once: a client that is unsure may ask again and learns how it stands."""
        known = self._queue.find(message.job)
        if known is None and (finished := self._finished_before(message.job)):
            return finished
        if known is not None and (outcome := outcome_of(known)):
            return outcome
        request = message.request if known is None else known.request
        if known is None:
            try:
                request = keep_pictures(request, self._places.inputs)
            except SdtuiError as error:
                return Failed(message.job, Failure(error.what, error.why, error.remedy))
            self._queue.put(message.job, request)
            self._changed()
            self._work.set()
        queued = Queued(message.job, request, self._queue.ahead(message.job))
        if known is None:
            self._tell(queued, but=visitor)
        return queued

    def _finished_before(self, job: str) -> Finished | None:
        """How a job ended that an engine before this one got through."""
        try:
            with History(self._places.history_file) as history:
                record = history.of_job(job)
        except SdtuiError as error:
            log.error("%s", error)
            return None
        return Finished(job, record.request, Result.of(record)) if record else None

    def _cancel(self, job: str) -> None:
        if self._queue.running is not None and self._queue.running.job == job:
            self._bench.interrupt()
        elif job in self._queue.unfinished():
            self._conclude(Cancelled(job))

    def _tell(self, message: EngineMessage, but: Visitor | None = None) -> None:
        for visitor in self._visitors:
            if visitor.watching and visitor is not but:
                visitor.send(message)

    def _gauge(self) -> None:
        if any(visitor.watching for visitor in self._visitors):
            self._tell(Gauge(self._memory(), self._bench.warmth))

    # ---- what to tell ----------------------------------------------------------------------

    def _snapshot(self) -> Snapshot:
        made = self._bench.made
        return Snapshot(
            version=VERSION,
            pid=os.getpid(),
            worker_pid=self._bench.worker_pid,
            warmth=self._bench.warmth,
            model=made.model if made else None,
            runtime=made.runtime if made else None,
            jobs=self._queue.jobs(),
            memory=self._memory(),
            conversions=self._conversions.all,
        )

    def _memory(self) -> Memory:
        worker = self._bench.worker_pid
        return self._meter.read([os.getpid(), *([worker] if worker else []), *self._conversions.pids])

    def _changed(self) -> None:
        """Have the queue saved, once for all the changes that one client's words make."""
        if not self._unsaved:
            self._unsaved = True
            asyncio.get_running_loop().call_soon(self._save)

    def _save(self) -> None:
        self._unsaved = False
        self._queue.save()


async def _live(address: Address, places: Places, settings: Settings) -> None:
    await Host(places, settings).run(address)


def main() -> int:
    """Be the engine, unless there is one already."""
    logging.basicConfig(format="%(asctime)s engine: %(message)s", level=logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    here = places()
    try:
        address = Address.claim(here)
        if address is not None:
            asyncio.run(_live(address, here, _settings()))
    except SdtuiError as error:
        log.error("%s", error)
        return 1
    return 0


def _settings() -> Settings:
    """The settings; an engine must run even where they are broken, and the clients say so."""
    try:
        return load_settings()
    except SdtuiError as error:
        log.error("%s", error)
        return Settings()


if __name__ == "__main__":
    raise SystemExit(main())
