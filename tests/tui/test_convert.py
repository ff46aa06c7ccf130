"""The conversion dialog, and what the studio shows of a conversion."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from textual.widgets import Input

from sdtui.bundle.library import STARTER_PATH
from sdtui.conversion import (
    ConversionReport,
    ConversionRequest,
    ConversionRequestError,
    Fused,
    NetworkReport,
    Stage,
)
from sdtui.engine import converter
from sdtui.engine.protocol import Cancel, Conversion, Convert, Failure
from sdtui.settings import places
from sdtui.tui.conversion_draft import ConversionDraft
from sdtui.tui.path_suggester import completion
from sdtui.tui.remembered import recall
from sdtui.tui.screens import convert as dialog
from sdtui.tui.screens.create import Create
from tests.on_terminal import ROOT
from tests.tui.fake_engine import FakeEngine, snapshot
from tests.tui.opened import Opened, opened

SIZES = [(160, 48), (80, 24)]
TRACING = Stage("unet", "tracing", 0.43, 90.0, 125.0)


@pytest.fixture(autouse=True)
def with_stand_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and a converter that converts nothing."""
    monkeypatch.setattr(converter, "MODULE", "tests.stand_in_converter")
    monkeypatch.setattr(dialog, "PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("PYTHONPATH", ROOT)
    return home


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Something to convert, for the stand-in."""
    (tmp_path / "good").mkdir()
    return tmp_path / "good"


def words(studio: Opened) -> str:
    """What is on the screen, lines run together."""
    return " ".join(studio.text.replace("│", " ").split())


async def open_dialog(studio: Opened) -> None:
    await studio.app.run_action("screen('convert')")
    await studio.until(lambda: isinstance(studio.app.screen, dialog.Convert))
    await studio.shows("CONVERT", "networks", "^s convert")


def asked(studio: Opened) -> list[Convert]:
    """The conversions that the engine was asked for."""
    return [message for message in studio.engine.sent if isinstance(message, Convert)]


async def start(studio: Opened, source: Path) -> Convert:
    """Have a conversion started, and return what the engine was asked for."""
    await open_dialog(studio)
    await studio.type(str(source))
    await studio.press("ctrl+s")
    await studio.until(lambda: asked(studio))
    return asked(studio)[-1]


def report(path: Path, psnr: float = 72.5) -> ConversionReport:
    network = NetworkReport("unet", "Unet.mlpackage", 10**8, 10**8, psnr, 60.0, 6.0, 65.0, 3 * 10**9)
    return ConversionReport(str(path), "good", "sd", 130.0, [network])


def standing(wanted: Convert, state: str = "running", **fields: object) -> Conversion:
    """How the engine says that it stands."""
    return Conversion(wanted.job, wanted.request, state, **fields)  # type: ignore[arg-type]


# ---- the dialog ------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_source_is_forecast_and_converted_in_the_engine(
    width: int, height: int, source: Path
) -> None:
    async with opened(width, height) as studio:
        await open_dialog(studio)
        await studio.type(str(source))
        await studio.shows("in all", "text encoder", "3.1 GB", "2:10")
        await studio.press("down")
        await studio.type("mine")
        await studio.press("down", "right", "right", "down", "left", "down", "right", "right", "down")
        await studio.shows("macOS15")
        await studio.type("512x768, 512x512")
        await studio.press("enter", "enter")
        await studio.type("unet")
        await studio.shows("in all")
        await studio.press("ctrl+s")
        await studio.until(lambda: asked(studio))
        assert asked(studio)[0].request == ConversionRequest(
            source=str(source),
            output=str(places().models / "mine"),
            attention="ORIGINAL",
            target="macOS15",
            nbits=6,
            sizes=((512, 768), (512, 512)),
            networks=("unet",),
        )
        await studio.until(lambda: isinstance(studio.app.screen, Create))


async def test_the_dialog_opens_from_the_palette_and_from_the_library() -> None:
    async with opened() as studio:
        await studio.press("ctrl+p")
        await studio.type("convert a model")
        await studio.shows("Make a Core ML model")
        await studio.press("enter")
        await studio.until(lambda: isinstance(studio.app.screen, dialog.Convert))
        await studio.press("escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        await studio.press("ctrl+l", "end", "enter")
        await studio.until(lambda: isinstance(studio.app.screen, dialog.Convert))


async def test_what_was_written_is_there_again_and_at_the_next_start() -> None:
    async with opened() as studio:
        await open_dialog(studio)
        await studio.type("/half/a/pa")
        await studio.shows("/half/a/pa cannot be read — it is not there")
        await studio.press("escape")
        await studio.until(lambda: isinstance(studio.app.screen, Create))
        await open_dialog(studio)
        assert studio.app.screen.query_one("#source", Input).value == "/half/a/pa"
        await studio.until(lambda: recall().conversion.source == "/half/a/pa")
        await studio.press("ctrl+q")
    async with opened() as studio:
        await open_dialog(studio)
        await studio.shows("/half/a/pa")


async def test_what_cannot_be_converted_is_one_line_and_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "refused.safetensors").touch()
    async with opened() as studio:
        await open_dialog(studio)
        await studio.press("ctrl+s")
        await studio.shows("source is not valid — it is empty — give a folder")
        await studio.type(str(tmp_path / "refused.safetensors"))
        await studio.shows("^f tells what it takes: for that, the weights are unpacked")
        await studio.press("ctrl+f")
        await studio.shows("✗ refused cannot be converted — it is a pickle — use safetensors")
        await studio.press("down", "down", "down", "down", "down")
        await studio.type("500x512")
        await studio.shows("500x512 is not made of positive multiples of 8")
        await studio.press("ctrl+s")
        await studio.pilot.pause()
        assert isinstance(studio.app.screen, dialog.Convert)
        assert not asked(studio)


async def test_a_name_on_the_hub_is_not_looked_up_while_it_is_typed(home: Path) -> None:
    async with opened() as studio:
        await open_dialog(studio)
        await studio.type("stabilityai/sd-turbo")
        await studio.shows("stabilityai/sd-turbo is no file here: taken as a name on the Hub")
        assert not list(home.rglob("*.request.json")), "no converter was asked"
        await studio.press("ctrl+s")
        await studio.until(lambda: asked(studio))
        assert asked(studio)[0].request.output == str(places().models / "sd-turbo")


async def test_what_does_not_fit_is_told_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "huge").mkdir()
    async with opened() as studio:
        await open_dialog(studio)
        await studio.type(str(tmp_path / "huge"))
        await studio.shows("! memory: 3.1 GB of 1.0 GB")


async def test_only_the_last_question_is_answered(tmp_path: Path) -> None:
    """The first one never gets an answer: it has to be given up for the second."""
    for name in ("pondering", "ponderingly"):
        (tmp_path / name).mkdir()
    async with opened() as studio:
        await open_dialog(studio)
        await studio.type(str(tmp_path / "pondering"))
        await studio.shows("looking at it…")
        await studio.type("ly")
        await studio.shows("in all")


async def test_right_completes_a_path(source: Path) -> None:
    (source.parent / "gold.txt").touch()
    (source / "model.safetensors").touch()
    async with opened() as studio:
        await open_dialog(studio)
        await studio.type(f"{source.parent}/go")
        box = studio.app.screen.query_one("#source", Input)
        await studio.until(lambda: box._suggestion)
        await studio.press("right")
        await studio.until(lambda: box.value == f"{source}/")
        await studio.until(lambda: box._suggestion.endswith("good/model.safetensors"))


def test_completion_leaves_hidden_things_alone_until_asked(tmp_path: Path) -> None:
    for name in (".cache", "beta", "alpha.safetensors", "notes.txt"):
        (tmp_path / name).touch() if "." in name[1:] else (tmp_path / name).mkdir()
    assert completion(f"{tmp_path}/") == "alpha.safetensors"
    assert completion(f"{tmp_path}/.") == "cache/"
    assert completion(f"{tmp_path}/b") == "eta/"
    assert completion(f"{tmp_path}/n") is None
    assert completion("/no/such/folder/x") is None


async def test_the_dialog_shows_how_far_the_conversion_is_and_then_its_report(source: Path) -> None:
    async with opened(80, 24) as studio:
        wanted = await start(studio, source)
        studio.engine.say(standing(wanted, stage=TRACING))
        await studio.shows("converting 43%")
        await open_dialog(studio)
        await studio.shows("good  unet: tracing  ━", "43%  2:05 left", "it is being converted")
        done = standing(wanted, "finished", stage=TRACING, report=report(places().models / "good"))
        studio.engine.say(done)
        await studio.shows("unet", "72.5", "sd, 100 MB")
        assert "tracing" not in studio.text
        await studio.press("escape")
        await studio.shows("good is converted")


# ---- what is seen of it ------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_running_conversion_is_seen_with_its_estimate_and_taken_out(
    width: int, height: int, source: Path
) -> None:
    async with opened(width, height) as studio:
        wanted = await start(studio, source)
        studio.engine.say(standing(wanted, stage=TRACING))
        await studio.shows("43%", "2:05 left")
        await studio.press("f7")
        await studio.shows("QUEUE  1", "▶ convert good")
        await studio.press("delete")
        await studio.until(lambda: studio.engine.sent[-1] == Cancel(wanted.job))
        studio.engine.say(standing(wanted, "cancelled"))
        await studio.press("escape")
        await studio.until(lambda: "stopped converting good — what is done is kept" in words(studio))
        await studio.press("f9")
        await studio.until(lambda: len(asked(studio)) == 2)
        assert asked(studio)[1].request == wanted.request


async def test_stop_takes_the_picture_first(source: Path) -> None:
    async with opened() as studio:
        wanted = await start(studio, source)
        studio.engine.say(standing(wanted, stage=TRACING))
        picture = await studio.generate("pear")
        await studio.press("ctrl+t")
        await studio.until(lambda: studio.engine.sent[-1] == Cancel(picture.job))


async def test_a_finished_conversion_is_told_and_its_model_can_be_chosen(source: Path) -> None:
    async with opened() as studio:
        wanted = await start(studio, source)
        shutil.copytree(STARTER_PATH, wanted.request.output)
        studio.engine.say(standing(wanted, stage=TRACING))
        studio.engine.say(standing(wanted, "finished", report=report(Path(wanted.request.output))))
        await studio.shows("good is converted, in 2:10: choose it in the library")
        await studio.until(lambda: "good" in [model.reference for model in studio.app.models])
        assert "converting" not in studio.text
        await studio.press("ctrl+l", "down", "enter")
        await studio.until(lambda: studio.app.session.draft.model == "good")


async def test_a_network_below_its_threshold_is_bad_news(source: Path) -> None:
    async with opened() as studio:
        wanted = await start(studio, source)
        studio.engine.say(standing(wanted, "finished", report=report(Path("/x"), psnr=41.0)))
        await studio.shows("✗ good is not faithful to its source — unet 41.0 of 60 dB — more bits keep more")


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_a_failure_is_one_line_and_one_key_tries_again(width: int, height: int, source: Path) -> None:
    async with opened(width, height) as studio:
        wanted = await start(studio, source)
        failure = Failure("the conversion stopped", "memory ran out", "convert again")
        studio.engine.say(standing(wanted, "failed", failure=failure))
        told = "the conversion stopped — memory ran out — convert again f9 tries again"
        await studio.until(lambda: told in words(studio))
        await studio.press("f9")
        await studio.until(lambda: len(asked(studio)) == 2)
        assert asked(studio)[1].job != wanted.job


async def test_a_conversion_outlives_the_loss_of_the_engine(source: Path) -> None:
    async with opened() as studio:
        wanted = await start(studio, source)
        studio.engine.say(standing(wanted, stage=TRACING), None)
        await studio.shows("the engine stopped")
        await studio.press("f9")
        await studio.until(lambda: len(asked(studio)) == 2)
        assert asked(studio)[1] == wanted, "the engine knows it by its name and goes on with it"


async def test_a_conversion_that_runs_already_is_seen(source: Path) -> None:
    request = ConversionRequest(source=str(source), output="/models/theirs")
    engine = FakeEngine(snapshot(conversions=[Conversion("theirs", request, "running", stage=TRACING)]))
    async with opened(engine=engine) as studio:
        await studio.shows("converting theirs 43%  2:05 left", "▶ convert theirs")


async def test_leaving_says_that_the_conversion_goes_on(source: Path) -> None:
    async with opened() as studio:
        wanted = await start(studio, source)
        studio.engine.say(standing(wanted, stage=TRACING))
        await studio.shows("43%")
        assert studio.app.session.goodbye(True).startswith("a conversion goes on in the engine")


# ---- the draft -------------------------------------------------------------------------------


def test_a_draft_becomes_a_request() -> None:
    models = Path("/models")
    assert ConversionDraft(source=" /a/sd.safetensors ").request(models) == ConversionRequest(
        source="/a/sd.safetensors", output="/models/sd"
    )
    written = ConversionDraft(
        source="a/b",
        output="/elsewhere/c",
        bits=6,
        sizes="512x512,",
        loras="x.safetensors:0.5, y.safetensors",
        networks="unet, text_encoder",
        controlnets="/c/canny, org/depth",
        refiner=" /c/refiner ",
        vae="/c/vae",
    )
    assert written.request(models) == ConversionRequest(
        source="a/b",
        output="/elsewhere/c",
        nbits=6,
        sizes=((512, 512),),
        loras=(Fused("x.safetensors", 0.5), Fused("y.safetensors")),
        networks=("text-encoder", "unet"),
        controlnets=("/c/canny", "org/depth"),
        unet_support_controlnet=True,
        refiner="/c/refiner",
        vae="/c/vae",
    )


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (ConversionDraft(), "source"),
        (ConversionDraft(source="a", sizes="big"), "size"),
        (ConversionDraft(source="a", networks="brain"), "networks"),
        (ConversionDraft(source="a", bits=3), "quantize_nbits"),
    ],
)
def test_a_draft_that_is_no_request_says_what_is_wrong(draft: ConversionDraft, field: str) -> None:
    with pytest.raises(ConversionRequestError) as caught:
        draft.request(Path("/models"))
    assert caught.value.field == field
