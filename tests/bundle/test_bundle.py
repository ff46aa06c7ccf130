"""A bundle says in one line what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdtui.bundle import Bundle, BundleError, Manifest, installed, locate, reference, verify
from sdtui.bundle.bundle import entry_sha256
from sdtui.bundle.manifest import NetworkEntry, NetworkRole
from sdtui.settings import places


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return shutil.copytree(tiny_bundle, tmp_path / "copy")


def rewrite(bundle: Path, **changes: Any) -> None:
    file = bundle / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_open_bundle_knows_its_files(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert bundle.name == "tiny"
    assert bundle.network("unet") == tiny_bundle / "Unet.mlpackage"
    assert (bundle.manifest.width, bundle.manifest.scale) == (64, 8)
    verify(bundle)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such folder"):
        Bundle.open(tmp_path / "nowhere")


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(BundleError, match="a file, not a folder"):
        Bundle.open(tmp_path / "model.safetensors")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"the folder has no bundle\.json"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 3}', "\xff\xfe", '{"x":' + "[" * 100_000])
def test_a_corrupt_manifest(copy: Path, text: str) -> None:
    (copy / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"bundle\.json: "):
        Bundle.open(copy)


def test_a_manifest_of_a_later_version(copy: Path) -> None:
    rewrite(copy, format=2)
    with pytest.raises(BundleError, match="update sdtui"):
        Bundle.open(copy)


@pytest.mark.parametrize("file", ["Unet.mlpackage", "vocab.json", "merges.txt", "scheduler_config.json"])
def test_a_missing_file(copy: Path, file: str) -> None:
    path = copy / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BundleError, match=f"{file} is missing"):
        Bundle.open(copy)


OUTSIDE = [
    "../tiny", "/etc/hosts", "..", "", ".", "Data/Unet.mlpackage", "controlnet/..", "controlnet/a/b",
    "controlnet//Canny.mlpackage", "./Unet.mlpackage", "../controlnet/Canny.mlpackage", "controlnet/a\0",
]  # fmt: skip


@pytest.mark.parametrize("file", OUTSIDE)
def test_a_network_outside_the_folder(copy: Path, file: str) -> None:
    networks = json.loads((copy / "bundle.json").read_text())["networks"]
    networks["unet"]["file"] = file
    rewrite(copy, networks=networks)
    with pytest.raises(BundleError, match="lies outside"):
        Bundle.open(copy)


@pytest.mark.parametrize("file", OUTSIDE)
@pytest.mark.parametrize("field", ["second_half", "sizes", "controlnets"])
def test_no_part_of_a_network_lies_outside(copy: Path, field: str, file: str) -> None:
    content = json.loads((copy / "bundle.json").read_text())
    if field == "controlnets":
        rewrite(copy, controlnets={"Canny": content["networks"]["unet"] | {"file": file}})
    else:
        content["networks"]["unet"][field] = {"32x32": file} if field == "sizes" else file
        rewrite(copy, networks=content["networks"])
    with pytest.raises(BundleError, match="lies outside"):
        Bundle.open(copy)


@pytest.fixture
def rich(copy: Path) -> Path:
    """A bundle whose UNet is cut in two and has a package for another size, with a ControlNet."""
    networks = json.loads((copy / "bundle.json").read_text())["networks"]
    for other in ("UnetChunk2.mlpackage", "Unet_32x32.mlpackage", "controlnet/Canny.mlpackage"):
        shutil.copytree(copy / "Unet.mlpackage", copy / other)
    weights = next((copy / "UnetChunk2.mlpackage").rglob("weight.bin"))
    weights.write_bytes(weights.read_bytes()[:-1])
    canny = networks["unet"] | {"file": "controlnet/Canny.mlpackage"}
    networks["unet"] |= {"second_half": "UnetChunk2.mlpackage", "sizes": {"32x32": "Unet_32x32.mlpackage"}}
    entry = NetworkEntry(**networks["unet"])
    networks["unet"]["sha256"] = entry_sha256(copy, entry)
    rewrite(copy, networks=networks, controlnets={"Canny": canny})
    return copy


def test_halves_sizes_and_controlnets_belong_to_the_model(rich: Path, tiny_bundle: Path) -> None:
    bundle = Bundle.open(rich)
    assert bundle.halves("unet") == (rich / "Unet.mlpackage", rich / "UnetChunk2.mlpackage")
    assert bundle.halves("vae_decoder") == (rich / "VAEDecoder.mlpackage",)
    assert bundle.controlnet("Canny") == rich / "controlnet" / "Canny.mlpackage"
    assert bundle.hash != Bundle.open(tiny_bundle).hash
    verify(bundle)
    with pytest.raises(BundleError, match="it has Canny, choose one"):
        bundle.controlnet("Depth")
    with pytest.raises(BundleError, match="it has none"):
        Bundle.open(tiny_bundle).controlnet("Canny")


@pytest.mark.parametrize(
    "part", ["Unet.mlpackage", "UnetChunk2.mlpackage", "Unet_32x32.mlpackage", "controlnet/Canny.mlpackage"]
)
def test_every_part_is_verified_and_missed(rich: Path, part: str) -> None:
    weights = next((rich / part).rglob("weight.bin"))
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(BundleError, match="is not what was written"):
        verify(Bundle.open(rich))
    shutil.rmtree(rich / part)
    with pytest.raises(BundleError, match=f"{part} is missing"):
        Bundle.open(rich)


def test_the_hash_of_a_plain_bundle_never_changes() -> None:
    """Pictures name it: it was 64 digits of roles and hashes before a bundle could hold more."""
    roles: tuple[NetworkRole, ...] = ("unet", "text_encoder")
    networks = {role: NetworkEntry(file="x", sha256=role * 2) for role in roles}
    manifest = Manifest(
        name="x", title="X", width=8, height=8, latent_channels=4, scaling_factor=1.0, networks=networks
    )
    lines = "text_encoder:text_encodertext_encoder\nunet:unetunet\n"
    assert Bundle(Path(), manifest).hash == hashlib.sha256(lines.encode()).hexdigest()


def test_a_model_without_text_encoder_needs_no_tokenizer(copy: Path) -> None:
    networks = json.loads((copy / "bundle.json").read_text())["networks"]
    del networks["text_encoder"]
    rewrite(copy, networks=networks)
    for file in ("vocab.json", "merges.txt"):
        (copy / file).unlink()
    assert Bundle.open(copy).tokenizer_files == ()
    rewrite(copy, networks=networks | {"text_encoder_3": networks["unet"]})
    with pytest.raises(BundleError, match=r"tokenizer\.json is missing"):
        Bundle.open(copy)


def test_a_role_that_it_does_not_have(copy: Path) -> None:
    networks = json.loads((copy / "bundle.json").read_text())["networks"]
    del networks["vae_encoder"]
    rewrite(copy, networks=networks)
    with pytest.raises(BundleError, match="it has no vae encoder"):
        Bundle.open(copy).network("vae_encoder")


def test_verify_finds_one_changed_byte(copy: Path) -> None:
    weights = next((copy / "Unet.mlpackage").rglob("weight.bin"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match=r"Unet\.mlpackage is not what was written"):
        verify(Bundle.open(copy))


def test_verify_finds_a_renamed_file(copy: Path) -> None:
    weights = next((copy / "Unet.mlpackage").rglob("weight.bin"))
    weights.rename(weights.with_name("other.bin"))
    with pytest.raises(BundleError):
        verify(Bundle.open(copy))


def test_the_hash_is_that_of_the_networks_not_of_their_place(copy: Path, tiny_bundle: Path) -> None:
    assert Bundle.open(copy).hash == Bundle.open(tiny_bundle).hash
    networks = json.loads((copy / "bundle.json").read_text())["networks"]
    networks["unet"]["sha256"] = "0" * 64
    rewrite(copy, networks=networks)
    assert Bundle.open(copy).hash != Bundle.open(tiny_bundle).hash


def test_a_path_and_an_installed_name_are_found_again(tiny_bundle: Path, home: Path) -> None:
    models = places().models
    models.mkdir(parents=True)
    shutil.copytree(tiny_bundle, models / "mine")
    (models / "unfinished").mkdir()

    named, elsewhere = Bundle.open(locate("mine")), Bundle.open(locate(str(tiny_bundle)))
    assert named.path == home / "data" / "models" / "mine"
    assert [reference(named), reference(elsewhere)] == ["mine", str(tiny_bundle)]
    assert locate(reference(elsewhere)) == elsewhere.path
    assert [reference(bundle) for bundle in installed() if reference(bundle) != "starter"] == ["mine"]
    with pytest.raises(BundleError, match=r"choose one of: .*mine"):
        locate("yours")


def test_the_built_in_model_is_the_default(home: Path) -> None:
    assert home.exists()
    assert locate(None) == locate("starter")
    assert locate(None).parent.name == "starter"


@pytest.mark.parametrize("name", ["", ".", "..", "../models", "no/such"])
def test_a_name_never_leads_out_of_the_models_folder(name: str, home: Path) -> None:
    (home / "data" / "models").mkdir(parents=True)
    try:
        found = locate(name)
    except BundleError:
        return
    assert found == Path(name).absolute()  # a path, then, as typed
