"""What belongs to families and sizes, beside the pictures that the matrix compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import Adapter, Manifest, NetworkEntry
from sdtui.conversion import ConversionRequest
from sdtui.convert.conversion import convert
from sdtui.convert.step import run_here
from sdtui.diffusion.checking import check
from sdtui.diffusion.errors import DiffusionError
from sdtui.diffusion.events import Decoding, Encoding, Loading, PipelineEvent, Step
from sdtui.diffusion.families.conditions import Conditions, guidance_embedding, run_rows
from sdtui.diffusion.parts import Part, needed, packages
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest, LoRA
from sdtui.runtime import Array, TensorSpec
from tests.convert.folder import save_folder
from tests.diffusion.parity.measuring import Workshop
from tests.diffusion.pictured import drawing, expected, likeness
from tests.tiny import TinyTorch

PLAIN = GenerationRequest(prompt="a red apple", seed=7, steps=3, compute_units="cpu-only", precision="fp32")


# ---- rows ------------------------------------------------------------------------------------


@dataclass
class Adding:
    """A network that answers the sum of what it is told, and remembers how it was asked."""

    inputs: Mapping[str, TensorSpec]
    asked: list[Conditions] = field(default_factory=list)
    outputs: Mapping[str, TensorSpec] = field(default_factory=dict)
    runtime: str = ""
    weight_bytes: int = 0

    def predict(self, given: Mapping[str, Array]) -> dict[str, Array]:
        assert {name: array.shape for name, array in given.items()} == {
            name: spec.shape for name, spec in self.inputs.items()
        }
        self.asked.append(given)
        batch = given["sample"].shape[0]
        sums = sum(array.reshape(batch, -1).sum(1) for name, array in given.items() if name != "sample")
        return {"answer": np.reshape(sums, (batch, 1))}

    def close(self) -> None: ...


def network(batch: int, **shapes: tuple[int, ...]) -> Adding:
    """One with these inputs beside sample and timestep."""
    every = {"sample": (batch, 1, 2, 2), "timestep": (batch,), **shapes}
    return Adding({name: TensorSpec(shape, np.dtype(np.float32)) for name, shape in every.items()})


@pytest.mark.parametrize(("batch", "calls"), [(1, 3), (2, 2), (3, 1), (4, 1)])
def test_every_row_is_answered_in_as_few_calls_as_possible(batch: int, calls: int) -> None:
    adding = network(batch, words=(batch, 5))
    rows = np.arange(3, dtype=np.float32)[:, None].repeat(5, axis=1)
    answers = run_rows(adding, ("sample", np.zeros((1, 1, 2, 2), np.float32)), 100, {"words": rows})
    assert answers["answer"].tolist() == [[100], [105], [110]]
    assert len(adding.asked) == calls


def test_older_exports_take_time_ids_flat() -> None:
    adding = network(2, time_ids=(12,))
    ids = np.arange(12, dtype=np.float32).reshape(2, 6)
    answers = run_rows(adding, ("sample", np.zeros((1, 1, 2, 2), np.float32)), 0, {"time_ids": ids})
    assert answers["answer"].tolist() == [[15], [51]]


@pytest.mark.parametrize("width", [32, 33, 256])
@pytest.mark.parametrize("scale", [0.0, 1.0, 7.5])
def test_the_embedded_guidance_scale_is_that_of_diffusers(width: int, scale: float) -> None:
    theirs = StableDiffusionPipeline.get_guidance_scale_embedding(None, torch.tensor([scale - 1]), width)
    assert np.allclose(guidance_embedding(scale, width), theirs.numpy(), atol=2e-3)


# ---- networks --------------------------------------------------------------------------------


def test_loads_are_counted_and_come_in_the_order_of_their_use(workshop: Workshop) -> None:
    bundle = workshop.pipeline("sdxl+refiner", "fp32").bundle
    pipeline, events = Pipeline(bundle, "cpu-only", "fp32"), list[PipelineEvent]()
    pipeline.generate(PLAIN.replace(refiner_start=0.5), events.append)
    pipeline.close()
    names = ["text_encoder", "text_encoder_2", "unet", "refiner", "vae_decoder"]
    assert [event for event in events if isinstance(event, Loading)] == [
        Loading(name, index, 5) for index, name in enumerate(names, start=1)
    ]
    assert [(event.index, event.total) for event in events if isinstance(event, Step)] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]


def test_sdxl_and_its_refiner_take_turns_where_memory_is_short(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = workshop.pipeline("sdxl+refiner", "fp32")
    request = PLAIN.replace(refiner_start=0.5)
    whole = warm.generate(request).image
    monkeypatch.setattr("sdtui.diffusion.residence.available_memory", lambda: 0)
    poor, events = Pipeline(warm.bundle, "cpu-only", "fp32"), list[PipelineEvent]()
    assert poor.generate(request, events.append).image.tobytes() == whole.tobytes()
    poor.close()
    told = [event for event in events if not isinstance(event, Step)]
    assert [event.network if isinstance(event, Loading) else type(event) for event in told] == [
        "text_encoder",
        Encoding,
        "text_encoder_2",
        "unet",
        "refiner",
        "vae_decoder",
        Decoding,
    ]


def test_sd3_takes_the_schedulers_of_flows_by_their_plain_names(workshop: Workshop) -> None:
    pipeline = workshop.pipeline("sd3+t5", "fp32")
    picture = pipeline.generate(PLAIN.replace(scheduler="euler"))
    assert picture.request.scheduler == "flow-euler"
    assert pipeline.generate(PLAIN.replace(scheduler="flow-euler")).image == picture.image


# ---- sizes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wide(tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny model for 64 x 64 and 96 x 64 pixels, as functions of the same packages."""
    folder = tmp_path_factory.mktemp("wide")
    request = ConversionRequest(
        source=str(save_folder(tiny_torch, folder / "checkpoint")),
        output=str(folder / "wide"),
        networks=("text-encoder", "unet", "vae-decoder"),
        sizes=((64, 64), (96, 64)),
        multifunction=True,
        target="macOS15",
        precision="fp32",
    )
    convert(request, lambda _: None, run=run_here)
    return Bundle.open(folder / "wide")


def test_another_size_is_another_function(wide: Bundle, tiny_torch: TinyTorch) -> None:
    pipeline = Pipeline(wide, "cpu-only", "fp32")
    picture = pipeline.generate(PLAIN.replace(width=96, scheduler="ddim"))
    pipeline.close()
    assert (picture.request.width, picture.request.height) == (96, 64)
    theirs = expected(drawing(tiny_torch), picture.request, width=96, height=64)
    assert likeness(theirs, picture.image) >= 50


def test_a_size_that_no_network_has(wide: Bundle) -> None:
    with pytest.raises(DiffusionError) as refusal:
        check(PLAIN.replace(width=128), wide)
    assert str(refusal.value) == (
        "wide cannot make 128 x 64 pixels, it has these sizes, 64 x 64, 96 x 64, "
        "ask for one of them or choose another model"
    )


def test_packages_of_each_size() -> None:
    entry = NetworkEntry(
        file="Unet.mlpackage",
        sha256="",
        second_half="Rest.mlpackage",
        sizes={"96x64": "Wide.mlpackage"},
        functions={"64x96": "tall"},
    )
    manifest = Manifest(
        name="m",
        title="m",
        width=64,
        height=64,
        latent_channels=4,
        scaling_factor=1.0,
        networks={"unet": entry},
    )
    bundle = Bundle(Path("/m"), manifest)
    whole = Path("/m/Unet.mlpackage"), Path("/m/Rest.mlpackage")
    assert packages(bundle, Part("unet", (64, 64))) == tuple((path, None) for path in whole)
    assert packages(bundle, Part("unet", (96, 64))) == ((Path("/m/Wide.mlpackage"), None),)
    assert packages(bundle, Part("unet", (64, 96))) == tuple((path, "tall") for path in whole)


# ---- refusals --------------------------------------------------------------------------------


def changed(folder: Path, **fields: object) -> Bundle:
    """The bundle with another manifest, its files where they are."""
    bundle = Bundle.open(folder)
    return Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, **fields))


def test_a_refiner_makes_no_pictures_by_itself(tiny_bundle: Path) -> None:
    alone = changed(tiny_bundle, family="sdxl-refiner")
    with pytest.raises(DiffusionError, match=r"it is a refiner, .*, convert SDXL with --refiner"):
        Pipeline(alone).load()


@pytest.mark.parametrize("missing", ["text_encoder", "unet", "vae_decoder"])
def test_a_network_that_is_missing(missing: str, tiny_bundle: Path) -> None:
    networks = {
        role: entry for role, entry in Bundle.open(tiny_bundle).manifest.networks.items() if role != missing
    }
    with pytest.raises(DiffusionError, match=f"it has no {missing.replace('_', ' ')}"):
        check(PLAIN, changed(tiny_bundle, networks=networks))


def test_sdxl_without_its_second_text_encoder(tiny_bundle: Path) -> None:
    with pytest.raises(DiffusionError, match="it has no text encoder 2"):
        check(PLAIN, changed(tiny_bundle, family="sdxl"))


def test_loras_are_those_that_the_model_was_built_with(tiny_bundle_fp32: Path) -> None:
    ink = LoRA(name="ink", weight=0.7)
    styled = changed(tiny_bundle_fp32, adapters=[Adapter(kind="lora", name="ink", sha256="", weight=0.7)])
    pipeline = Pipeline(styled, "cpu-only", "fp32")
    assert pipeline.generate(PLAIN.replace(steps=1)).request.loras == (ink,)
    pipeline.close()
    check(PLAIN.replace(loras=(ink,)), styled)
    with pytest.raises(DiffusionError, match=r"it has ink:0\.7, run `sdtui convert .* --lora"):
        check(PLAIN.replace(loras=(LoRA(name="ink", weight=1.0),)), styled)
    with pytest.raises(DiffusionError, match="it has none"):
        check(PLAIN.replace(loras=(ink,)), Bundle.open(tiny_bundle_fp32))


def test_what_a_picture_needs(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    from_picture = [part.name for part in needed(bundle, PLAIN.replace(image="/p.png"))]
    assert from_picture == ["text_encoder", "vae_encoder", "unet", "vae_decoder"]
