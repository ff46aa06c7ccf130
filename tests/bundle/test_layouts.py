"""Which folders are recognised, and what is read from names alone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdtui.bundle import BundleError
from sdtui.bundle.layouts import controlnet_name, find_model, read_layout, telling_name
from sdtui.bundle.manifest import STEMS, NetworkRole

PARTS: dict[str, NetworkRole] = {
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "vae_decoder": "vae_decoder",
    "vae_encoder": "vae_encoder",
    "unet": "unet",
    "control-unet": "control_unet",
    "refiner": "refiner",
    "mmdit": "mmdit",
    "safety_checker": "safety_checker",
}

file_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=30
)


def network(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


@given(
    model_id=file_names | st.sampled_from(["a_unet", "x_text_encoder_2", "stabilityai_sd-unet_chunk1", "_"]),
    part=st.sampled_from(sorted(PARTS)),
    chunked=st.booleans(),
)
@example(model_id="a_text_encoder", part="text_encoder_2", chunked=False)
@example(model_id="control-unet_unet", part="control-unet", chunked=True)
def test_apples_names_are_read_whatever_the_model_is_called(model_id: str, part: str, chunked: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stem = f"Stable_Diffusion_version_{model_id}_{part}"
        endings = ("_chunk1", "_chunk2") if chunked else ("",)
        packages = tuple(network(Path(folder) / f"{stem}{ending}.mlpackage") for ending in endings)
        assert find_model(Path(folder)) == Path(folder)
        layout = read_layout(Path(folder))
        assert layout.networks == {PARTS[part]: packages}
        assert layout.model_id == model_id


@given(name=file_names)
def test_other_names_are_nothing_of_ours(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if name in (".", ".."):
            return
        network(Path(folder) / f"My {name}.mlpackage")
        with pytest.raises(BundleError, match="cannot be imported"):
            find_model(Path(folder))


@pytest.mark.parametrize("ending", [".mlmodelc", ".mlpackage"])
def test_every_name_in_resources_is_known(tmp_path: Path, ending: str) -> None:
    expected = {role: (network(tmp_path / f"{stem}{ending}"),) for role, stem in STEMS.items()}
    canny = network(tmp_path / "controlnet" / f"Canny{ending}")
    layout = read_layout(tmp_path)
    assert layout.networks == expected
    assert layout.controlnets == {"Canny": canny}


def test_halves_belong_together(tmp_path: Path) -> None:
    first = network(tmp_path / "UnetChunk1.mlmodelc")
    with pytest.raises(BundleError, match=r"beside UnetChunk1\.mlmodelc, chunk 2 of its unet is missing"):
        read_layout(tmp_path)
    second = network(tmp_path / "UnetChunk2.mlmodelc")
    assert read_layout(tmp_path).networks == {"unet": (first, second)}
    whole = network(tmp_path / "Unet.mlmodelc")
    assert read_layout(tmp_path).networks == {"unet": (whole,)}


def test_a_package_goes_before_what_was_compiled_of_it(tmp_path: Path) -> None:
    network(tmp_path / "Unet.mlmodelc")
    package = network(tmp_path / "Unet.mlpackage")
    assert read_layout(tmp_path).networks == {"unet": (package,)}


def test_controlnets_of_apples_converter(tmp_path: Path) -> None:
    canny = network(tmp_path / "ControlNet_lllyasviel_sd-controlnet-canny.mlpackage")
    assert read_layout(tmp_path).controlnets == {"LllyasvielSdControlnetCanny": canny}
    assert controlnet_name("lllyasviel/sd-controlnet-mlsd") == "LllyasvielSdControlnetMlsd"


def test_two_models_in_one_folder(tmp_path: Path) -> None:
    network(tmp_path / "Stable_Diffusion_version_a_b_unet.mlpackage")
    network(tmp_path / "Stable_Diffusion_version_c_vae_decoder.mlpackage")
    with pytest.raises(BundleError, match="mixes several models: a_b, c"):
        read_layout(tmp_path)


def test_a_tree_of_the_hub_asks_which(tmp_path: Path) -> None:
    for variant in ("original/packages", "original/compiled", "split_einsum/packages"):
        network(tmp_path / variant / "Unet.mlpackage")
    with pytest.raises(
        BundleError, match="several models: original/compiled, original/packages, split_einsum/packages"
    ):
        find_model(tmp_path)
    assert find_model(tmp_path / "split_einsum") == tmp_path / "split_einsum" / "packages"
    shutil.rmtree(tmp_path / "original")
    assert find_model(tmp_path) == tmp_path / "split_einsum" / "packages"


def test_only_some_of_many_models_are_told(tmp_path: Path) -> None:
    for number in range(9):
        network(tmp_path / f"model-{number}" / "Unet.mlmodelc")
    with pytest.raises(BundleError, match=r"model-3, model-4, \.\.\., give the path of one"):
        find_model(tmp_path)


def test_where_models_are_not_looked_for(tmp_path: Path) -> None:
    """In what is hidden, in networks, deeper than any tree of the Hub, and where links lead."""
    elsewhere = network(tmp_path / "elsewhere" / "Unet.mlmodelc").parent
    theirs = tmp_path / "theirs"
    for folder in (".hidden", "Other.mlpackage", "a/b/c/d/e"):
        network(theirs / folder / "Unet.mlmodelc")
    (theirs / "link").symlink_to(elsewhere)
    with pytest.raises(BundleError, match="no bundle"):
        find_model(theirs)
    found = network(theirs / "a" / "b" / "c" / "d" / "Unet.mlmodelc").parent
    assert find_model(theirs) == found


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such folder"):
        find_model(tmp_path / "nowhere")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(BundleError, match="a file, not a folder"):
        find_model(tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match=r"no bundle\.json, Unet\.mlmodelc or Stable_Diffusion_version"):
        find_model(tmp_path)
    (tmp_path / "Unet.mlmodelc").touch()  # a file is no network
    with pytest.raises(BundleError, match="no bundle"):
        find_model(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/models/dreamy", "dreamy"),
        ("/models/dreamy/Resources", "dreamy"),
        ("/x/coreml-stable-diffusion-v1-5/split_einsum_v2/compiled", "coreml-stable-diffusion-v1-5"),
        (f"/hub/models--apple--coreml-sd-2/snapshots/{'0a' * 20}/original/packages", "coreml-sd-2"),
        ("/", "model"),
    ],
)
def test_a_model_is_called_after_the_folder_that_says_something(path: str, name: str) -> None:
    assert telling_name(Path(path)) == name
