"""Every screen in its states: how a person comes there, with figures that never change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from PIL import Image, ImageDraw

from sdtui.conversion import ConversionRequest, Forecast, NetworkForecast, Stage
from sdtui.diffusion.events import Preview, Step
from sdtui.engine.protocol import Conversion, Failed, Failure, Finished, Gauge, Memory, Progress, Result
from sdtui.history import History, Origin, PictureRecord, Search
from sdtui.request import GenerationRequest
from sdtui.settings import Settings, places, save_settings
from sdtui.terminal.capabilities import ColourDepth
from sdtui.terminal.cells import Cell, Cells, fit
from sdtui.tui import disk, messages
from sdtui.tui.draft import Draft
from sdtui.tui.reader import Reader
from sdtui.tui.widgets.library import Model
from tests.tui.fake_engine import GB
from tests.tui.opened import SECONDS, Opened, queued

SEED = 1234
MODELS = (
    Model("starter", "Starter", 64, 64, 22_000_000),
    Model("sd15-6bit", "Stable Diffusion 1.5, 6 bits", 512, 512, 1_000_000_000),
    Model("sdxl-mixed", "Stable Diffusion XL, 4.5 bits", 1024, 1024, 3_400_000_000),
)
FACTS = [
    ("model", "sd15-6bit"),
    ("title", "Stable Diffusion 1.5, 6 bits"),
    ("family", "sd"),
    ("size", "512 × 512"),
    ("other sizes", "512x768, 768x512"),
    ("prompt", "77 tokens"),
    ("attention", "SPLIT_EINSUM"),
    ("runs on", "macOS14"),
    ("licence", "creativeml-openrail-m"),
    ("source", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
    ("on disk", "1.0 GB"),
    ("path", "/home/ada/.local/share/sdtui/models/sd15-6bit"),
    ("hash", "9f1c7d4a5be2"),
    ("", ""),
    ("text encoder", "  246 MB   16 bits   91.4 dB"),
    ("unet", "  646 MB   6 bits    48.2 dB"),
    ("vae decoder", "   99 MB   16 bits   71.8 dB"),
    ("safety checker", "   12 MB   8 bits    60.3 dB"),
]
SUBJECTS = (
    ("red apple on a blue background", "#c81e28", "#1e50c8"),
    ("green pear on a white background, watercolour", "#46a03c", "#f0f0eb"),
    ("a lighthouse at dusk, long exposure, the sea calm and the sky without clouds", "#f0dc96", "#28325a"),
    ("yellow star on a purple background", "#f0c828", "#5a287d"),
    ("orange fox in the snow", "#dc7828", "#e1e6f0"),
)
MACHINE = Memory(engine=2 * GB, engine_peak=3 * GB, machine=9 * GB, machine_total=24 * GB)


@dataclass(frozen=True)
class Scene:
    """A state: what lies on disk ``before`` the studio opens, and what happens to ``enter`` it.

    ``ready`` is on the screen when it is there.
    """

    name: str
    enter: Callable[[Opened], Awaitable[object]]
    ready: tuple[str, ...]
    before: Callable[[], object] = lambda: None


def fix_figures(patch: pytest.MonkeyPatch) -> None:
    """Have everything that differs between machines and runs be the same everywhere."""
    patch.setenv("COLORTERM", "truecolor")
    patch.setenv("TERM", "xterm-256color")
    patch.delenv("NO_COLOR", raising=False)
    patch.setattr("sdtui.tui.draft.SystemRandom.randrange", lambda *_: SEED)
    patch.setattr(disk, "models", lambda: MODELS)
    patch.setattr(disk, "model_facts", lambda _: FACTS)
    patch.setattr(Reader, "count_tokens", _count_words)
    patch.setattr("sdtui.terminal.halfblock.half_blocks", _shades)


def _count_words(reader: Reader, draft: Draft) -> None:
    words = len(draft.prompt.split())
    reader._deliver(messages.TokensCounted(words + 2 if words else 0, 77))


def _shades(image: Image.Image, columns: int, rows: int, *_: ColourDepth | int | None) -> Cells:
    """A picture in four shades, to be read in a snapshot; how it is drawn has tests of its own."""
    columns, rows = fit(image.width, image.height, columns, rows)
    grey = image.convert("L").resize((columns, rows), Image.Resampling.NEAREST).tobytes()
    cells = [Cell("░▒▓█"[level // 64], None, None) for level in grey]
    return Cells(columns, rows, tuple(tuple(cells[row * columns :][:columns]) for row in range(rows)))


# ---- what lies on disk -------------------------------------------------------------------------


def picture(number: int, **changes: object) -> PictureRecord:
    """The picture of that number, from 0: drawn, and in the history."""
    prompt, colour, ground = SUBJECTS[number % len(SUBJECTS)]
    fields = {"prompt": prompt, "seed": SEED + number, "steps": 20, "model": "starter"}
    return _keep(GenerationRequest(**(fields | changes)), colour, ground)  # type: ignore[arg-type]


def _keep(request: GenerationRequest, colour: str, ground: str, job: str | None = None) -> PictureRecord:
    places().pictures.mkdir(parents=True, exist_ok=True)
    with History(places().history_file) as history:
        path = places().pictures / f"{len(history.find(Search())) + 1:04}.png"
        image = Image.new("RGB", (64, 64), ground)
        ImageDraw.Draw(image).ellipse((12, 12, 52, 52), fill=colour)
        image.save(path)
        return history.add(
            path=path,
            origin=Origin(
                request=request, model="starter", model_hash="0", runtime="portable bf16", version="0"
            ),
            size=(64, 64),
            seconds={"load": 0, "text": 0.1, "denoise": 2, "decode": 0.2, "total": 2.3},
            peak_memory_bytes=2 * GB,
            job=job,
        )


def some_pictures() -> None:
    for number in range(5):
        picture(number)


def many_pictures() -> None:
    for number in range(30):
        picture(number)


def two_alike() -> None:
    picture(0)
    picture(0, prompt="green apple on a blue table", steps=30, guidance_scale=5.0, seed=SEED)


def some_presets() -> None:
    from sdtui.tui.presets import save_presets

    save_presets(
        {
            "draft": {"steps": 8, "scheduler": "dpm++2m"},
            "portrait": {"width": 512, "height": 768, "guidance_scale": 6.0, "steps": 30},
            "slow and fine": {"steps": 50, "scheduler": "heun", "sigmas": "karras"},
        }
    )


def some_log() -> None:
    places().state.mkdir(parents=True, exist_ok=True)
    places().log.write_text(
        "".join(
            f"2026-03-01 12:{minute:02}:07 starter loaded in 0.4 s, 0.5 GB\n"
            f"2026-03-01 12:{minute:02}:09 picture {minute} done in 2.3 s\n"
            for minute in range(40)
        )
    )


def own_keys() -> None:
    save_settings(Settings(keymap={"recall": "f11", "lock-seed": "alt+l"}))


# ---- the main screen ---------------------------------------------------------------------------


async def nothing(_: Opened) -> None:
    """It is there when the studio opens."""


async def type_language(studio: Opened) -> None:
    await studio.type("a (red:1.3) apple, [soft] shadow, {flat|3d}, __colours__, on a whi")


def a_step(index: int) -> Step:
    """A step of a picture that is half there."""
    rows = (bytes([row * 30, 80, 160 - column * 12]) for row in range(8) for column in range(8))
    return Step(index, 20, index / 4, Preview(8, 8, b"".join(rows)))


async def run(studio: Opened) -> None:
    submit = await studio.generate("a lighthouse at dusk, long exposure")
    studio.engine.say(queued(submit), Progress(submit.job, a_step(12), MACHINE))


async def run_several(studio: Opened) -> None:
    await run(studio)
    for prompt in ("green pear, 3d", "a castle in the clouds, its towers lost in the morning mist"):
        await studio.press("ctrl+u")
        studio.engine.say(queued(await studio.generate(prompt), 1))
    request = ConversionRequest(source="/models/sd15", output="/models/sd15-6bit")
    stage = Stage("unet", "tracing", 0.43, 90.0, 125.0)
    studio.engine.say(Conversion("c", request, "running", stage=stage))


async def finish(studio: Opened) -> None:
    submit = await studio.generate("red apple on a blue background")
    record = _keep(submit.request, "#c81e28", "#1e50c8", submit.job)
    result = Result(record.path, record.id, 64, 64, "starter", "portable bf16", SECONDS, 1)
    studio.engine.say(queued(submit), Finished(submit.job, submit.request, result))
    await studio.shows("done in")
    await studio.press("ctrl+u")
    await studio.type("red pear on a blue table")


async def fail(studio: Opened) -> None:
    submit = await studio.generate("red apple on a blue background")
    why = Failure("the picture cannot be kept", "the disk is full", "make room, then try again")
    studio.engine.say(queued(submit), Failed(submit.job, why))


async def lose_the_engine(studio: Opened) -> None:
    await run(studio)
    await studio.shows("12/20")
    studio.engine.say(None)


async def fill_the_memory(studio: Opened) -> None:
    await studio.type("red apple")
    studio.engine.say(Gauge(Memory(4 * GB, 6 * GB, 21 * GB, 24 * GB), "warm"))


def pressing(*keys: str) -> Callable[[Opened], Awaitable[object]]:
    """Press these keys."""

    async def press(studio: Opened) -> None:
        await studio.press(*keys)

    return press


def going(name: str) -> Callable[[Opened], Awaitable[object]]:
    """Open a screen as the palette does."""

    async def go(studio: Opened) -> None:
        await studio.app.run_action(f"screen('{name}')")

    return go


async def look_at_one(studio: Opened) -> None:
    await studio.press("f8", "right")


async def set_much(studio: Opened) -> None:
    await studio.type("red apple")
    request = GenerationRequest(prompt="red apple", image="/pictures/sketch.png", strength=0.6, clip_skip=1)
    studio.app.create.take(request)
    await studio.press("f4", "down", "down")


async def queue_and_look(studio: Opened) -> None:
    await run_several(studio)
    await studio.press("f7", "down")


async def write_a_negative(studio: Opened) -> None:
    await studio.press("f6")
    await studio.type("blurry, text")


# ---- the screens above it ----------------------------------------------------------------------


async def search_in_vain(studio: Opened) -> None:
    await studio.press("f2")
    await studio.shows("1 of 5")
    await studio.press("slash")
    await studio.type("zebra")


async def gather_favourites(studio: Opened) -> None:
    await studio.press("f2")
    await studio.shows("1 of 30")
    await studio.press("right", "right", "f", "right", "equals_sign")


async def open_in_gallery(studio: Opened) -> None:
    await studio.press("f2")
    await studio.shows("1 of 5")
    await studio.press("right", "space")


async def recall_in_vain(studio: Opened) -> None:
    await studio.press("ctrl+r")
    await studio.type("zebra")


async def vary(studio: Opened) -> None:
    await studio.type("red apple on a blue background")
    await studio.press("f10")


async def vary_wrongly(studio: Opened) -> None:
    await vary(studio)
    await studio.shows("X/Y SHEET")
    await studio.press("down")
    await studio.type("x")


async def paint(studio: Opened) -> None:
    await studio.press("alt+m")
    await studio.shows("is painted anew")
    await studio.press("space", *(["right", "down"] * 3), "space")


async def draft_a_conversion(studio: Opened) -> None:
    await studio.app.run_action("screen('convert')")
    await studio.shows("CONVERT")
    await studio.type("stable-diffusion-v1-5/stable-diffusion-v1-5")
    await studio.shows("is no file here")
    networks = [
        NetworkForecast("text_encoder", 123_000_000, 1_200_000_000, 246_000_000, 9.0),
        NetworkForecast("unet", 860_000_000, 2_100_000_000, 1_720_000_000, 92.0),
        NetworkForecast("vae_decoder", 49_500_000, 1_400_000_000, 99_000_000, 21.0),
    ]
    warning = "2.1 GB on disk are needed, 1.8 GB are free"
    forecast = Forecast(networks, 2_100_000_000, 2_065_000_000, 122.0, [warning])
    request = studio.app.session.conversion.request(places().models)
    studio.app.post_message(messages.Forecasted(request, forecast))


async def convert(studio: Opened) -> None:
    request = ConversionRequest(source="/models/sd15", output="/models/sd15-6bit")
    stage = Stage("unet", "tracing", 0.43, 90.0, 125.0)
    studio.engine.say(Conversion("c", request, "running", stage=stage))
    await studio.shows("43")
    await studio.app.run_action("screen('convert')")


async def refuse_settings(studio: Opened) -> None:
    await studio.press("f12")
    await studio.shows("SETTINGS")
    await studio.press("down")
    await studio.type("many")


SCENES = (
    Scene("create-first", nothing, ("ctrl+g makes a picture", "red apple on a blue background")),
    Scene("create-typing", type_language, ("__colours__",), some_pictures),
    Scene("create-running", run, ("12/20",), some_pictures),
    Scene("create-finished", finish, ("red pear",), some_pictures),
    Scene("create-failed", fail, ("the disk is full",), some_pictures),
    Scene("create-engine-down", lose_the_engine, ("the engine stopped",), some_pictures),
    Scene("create-queue", queue_and_look, ("take it out", "43%"), some_pictures),
    Scene("create-memory-full", fill_the_memory, ("red apple",), some_pictures),
    Scene("create-library", pressing("ctrl+l", "down"), ("3.4 GB", "details"), some_pictures),
    Scene("create-request", set_much, ("strength",), some_pictures),
    Scene("create-negative", write_a_negative, ("blurry",), some_pictures),
    Scene("create-recent", look_at_one, ("PICTURE 4",), some_pictures),
    Scene("gallery-empty", pressing("f2"), ("no picture yet: escape",)),
    Scene("gallery", gather_favourites, ("4 of 30", "♥"), many_pictures),
    Scene("gallery-large", open_in_gallery, ("PICTURE 4",), some_pictures),
    Scene("gallery-nothing-found", search_in_vain, ("nothing found",), some_pictures),
    Scene("compare", pressing("f3"), ("PICTURE 1", "PICTURE 2"), two_alike),
    Scene("grid", vary, ("X/Y SHEET",)),
    Scene("grid-refused", vary_wrongly, ("✗",)),
    Scene("presets", pressing("ctrl+s"), ("portrait",), some_presets),
    Scene("presets-empty", pressing("ctrl+s"), ("no preset yet",)),
    Scene("settings", pressing("f12"), ("SETTINGS", "recall f11"), own_keys),
    Scene("settings-refused", refuse_settings, ("✗",)),
    Scene("help", pressing("f1"), ("Everywhere",)),
    Scene("jump", pressing("ctrl+o"), ("escape stays",), some_pictures),
    Scene("recall", pressing("ctrl+r"), ("orange fox",), some_pictures),
    Scene("recall-nothing-found", recall_in_vain, ("nothing found",), some_pictures),
    Scene("palette", pressing("ctrl+p"), ("Make the picture",)),
    Scene("log", going("log"), ("picture 39 done",), some_log),
    Scene("log-empty", going("log"), ("nothing has been written",)),
    Scene("model", going("model"), ("SPLIT_EINSUM",)),
    Scene("mask", paint, ("MASK",), some_pictures),
    Scene("convert", draft_a_conversion, ("in all",)),
    Scene("convert-running", convert, ("tracing",)),
)
