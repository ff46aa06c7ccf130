"""A folder that cannot become a bundle: one line says why, and nothing is left."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdtui.bundle import Bundle, BundleError, locate, reference
from sdtui.bundle import adoption as adoption_module
from sdtui.bundle.importing import import_model
from sdtui.errors import SdtuiError
from sdtui.files import LEFT_BEHIND
from sdtui.runtime import NetworkError
from sdtui.settings import places
from tests.bundle.foreign import (
    SD,
    Shapes,
    resources,
    tree,
    with_vocabulary,
)


@pytest.mark.parametrize(
    ("stem", "missing"),
    [("TextEncoder", "text encoder"), ("Unet", "unet"), ("VAEDecoder", "vae decoder")],
)
def test_an_incomplete_model(theirs: Path, models: Path, stem: str, missing: str) -> None:
    shutil.rmtree(resources(theirs) / f"{stem}.mlmodelc")
    with pytest.raises(BundleError, match=f"is not complete, it has no {missing},"):
        import_model(theirs, models)
    assert not models.exists() or not any(models.iterdir())


@pytest.mark.parametrize(
    ("stem", "inputs", "why"),
    [
        ("VAEEncoder", {"x": [1, 3, 768, 512]}, "different sizes: unet 512x512, .*vae encoder 512x768"),
        ("Unet", {**SD["Unet"][0], "sample": [2, 4, 64, 96]}, "different sizes: unet 768x512"),
        ("Unet", {"sample": [2, 4, 64, 64], "timestep": [2]}, "has no input encoder_hidden_states"),
        ("Unet", {**SD["Unet"][0], "sample": [2, 4, 64]}, r"the shape \[2, 4, 64\]"),
        ("Unet", {**SD["Unet"][0], "sample": []}, r"the shape \[\]"),
        ("Unet", {**SD["Unet"][0], "encoder_hidden_states": [2, 77, 768]}, "another layout than Apple's"),
        ("Unet", {**SD["Unet"][0], "encoder_hidden_states": [2, 1024, 1, 77]}, "768 numbers, .* takes 1024"),
        ("Unet", {**SD["Unet"][0], "encoder_hidden_states": [2, 768, 1, 80]}, "reads 77 tokens, its unet 80"),
        ("Unet", {**SD["Unet"][0], "sample": [2, 16, 64, 64]}, "16 channels, its vae decoder on 4"),
        ("VAEDecoder", {"latents": [1, 4, 64, 64]}, "vae decoder has no input z"),
        ("TextEncoder", {"tokens": [1, 77]}, "text encoder has no input input_ids"),
    ],
)
def test_networks_that_do_not_fit(theirs: Path, models: Path, stem: str, inputs: Shapes, why: str) -> None:
    resources(theirs, {**SD, stem: (inputs, SD[stem][1])})
    with pytest.raises(BundleError, match=why):
        import_model(theirs, models)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_unreadable_json(theirs: Path, models: Path, content: str) -> None:
    (resources(theirs) / "VAEDecoder.mlmodelc" / "metadata.json").write_text(content)
    with pytest.raises(NetworkError, match=r"VAEDecoder\.mlmodelc, its metadata\.json"):
        import_model(theirs, models)
    (theirs / "VAEDecoder.mlmodelc" / "metadata.json").unlink()
    with pytest.raises(NetworkError, match=r"model\.mil is missing"):
        import_model(theirs, models)


@pytest.mark.parametrize("place", ["Unet.mlmodelc/weights/weight.bin", "Unet.mlmodelc/new", "vocab.json"])
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("outside/secret", "leads out of the folder"),
        ("outside", "leads out of the folder"),
        ("theirs/nowhere", "leads nowhere"),
        ("theirs/VAEDecoder.mlmodelc", "a link to another folder"),
    ],
)
def test_links_out_of_the_folder(theirs: Path, models: Path, place: str, target: str, why: str) -> None:
    outside = theirs.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("{}")
    if why == "a link to another folder" and place == "vocab.json":
        return  # as good as none: a folder is no vocabulary
    link = resources(theirs) / place
    link.unlink(missing_ok=True)
    link.symlink_to(theirs.parent / target)
    if place == "vocab.json":
        (theirs / "merges.txt").touch()
    with pytest.raises(BundleError, match=why):
        import_model(theirs, models)
    assert not models.exists()


def test_a_pipe_is_not_waited_for(theirs: Path, models: Path) -> None:
    os.mkfifo(resources(theirs) / "Unet.mlmodelc" / "model.mil")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        import_model(theirs, models)


def test_a_bundle_of_ours_with_a_link_out(tiny_bundle: Path, theirs: Path, models: Path) -> None:
    bundle = shutil.copytree(tiny_bundle, theirs / "bundle")
    (bundle / "more.txt").symlink_to("/etc/hosts")
    with pytest.raises(BundleError, match="leads out"):
        import_model(bundle, models)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", ".hidden", "starter", "a\nb", "a\0b"])
def test_names_that_cannot_be(theirs: Path, models: Path, name: str) -> None:
    resources(theirs)
    if not name:  # is no name at all
        assert import_model(theirs, models, name=name).bundle.path.name == "theirs"
        return
    with pytest.raises(BundleError, match=r"(can|cannot) be called"):
        import_model(theirs, models, name=name)
    assert not models.exists()


@settings(max_examples=30)
@given(
    folder=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
    )
)
@example(folder="starter-2")
@example(folder="--move")
@example(folder=" ")
def test_a_model_is_found_again_whatever_its_folder_is_called(folder: str, tiny_bundle: Path) -> None:
    if folder in (".", "..") or folder.startswith("."):
        return
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDTUI_HOME", f"{place}/home")
        theirs = with_vocabulary(tiny_bundle, resources(Path(place) / folder))
        bundle = import_model(theirs, places().models).bundle
        assert locate(reference(bundle)) == bundle.path
        assert bundle.path.parent == places().models
        assert not bundle.path.name.startswith(("-", "."))


def test_a_name_that_is_taken(theirs: Path, models: Path) -> None:
    resources(theirs)
    first = import_model(theirs, models).bundle
    before = tree(models)
    with pytest.raises(BundleError, match=f"there is a model {first.path}, give it a --name"):
        import_model(theirs, models)
    assert tree(models) == before


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 5, 11])
def test_nothing_is_left_behind(
    theirs: Path, models: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, after: int
) -> None:
    """A full disk or an interrupt at any file."""
    resources(theirs)
    before = tree(theirs)
    put, written = shutil.copyfileobj, 0

    def failing(*arguments: Any) -> None:
        nonlocal written
        written += 1
        if written > after:
            raise failure
        put(*arguments)

    monkeypatch.setattr(shutil, "copyfileobj", failing)
    with pytest.raises((BundleError, KeyboardInterrupt)) as caught:
        import_model(theirs, models, how="copy")
    if isinstance(failure, OSError):
        assert "no space left on device" in str(caught.value)
    assert written == after + 1
    assert list(models.iterdir()) == []
    assert tree(theirs) == before


def test_a_full_disk_while_the_manifest_is_written(
    theirs: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(adoption_module, "write_manifest", full)
    with pytest.raises(BundleError, match="no space left on device, make room"):
        import_model(resources(theirs), models)
    assert list(models.iterdir()) == []


def test_what_a_killed_import_left_is_swept(theirs: Path, models: Path) -> None:
    old, new, converting = (
        models / name for name in (".sdtui-abcd_012", ".sdtui-abcd_013", ".sdtui-convert-x")
    )
    then = time.time() - LEFT_BEHIND - 10
    for folder in (old, new, converting):
        (folder / "half").mkdir(parents=True)
        (folder / "half" / "weight.bin").touch()
        if folder != new:
            for path in (folder / "half" / "weight.bin", folder / "half", folder):
                os.utime(path, (then, then))
    import_model(resources(theirs), models)
    assert not old.exists()
    assert new.exists(), "somebody may be at it"
    assert converting.exists(), "it will be gone on with"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
shapes = st.lists(st.integers(-2, 1 << 70) | st.floats(), max_size=5).map(json.dumps) | st.text(max_size=8)


@settings(max_examples=40)
@given(
    stem=st.sampled_from(sorted(SD)),
    field=st.sampled_from(
        ["specificationVersion", "mlProgramOperationTypeHistogram", "version", "inputSchema"]
    ),
    content=anything,
    shape=st.none() | shapes,
)
def test_whatever_metadata_says_is_taken_or_refused(
    stem: str, field: str, content: Any, shape: str | None, tiny_bundle: Path
) -> None:
    """A stranger's JSON can only lead to a bundle or to one line."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = with_vocabulary(tiny_bundle, resources(Path(folder) / "theirs"))
        file = theirs / f"{stem}.mlmodelc" / "metadata.json"
        description = json.loads(file.read_text())
        if shape is None:
            description[0][field] = content
        else:
            description[0]["inputSchema"][0]["shape"] = shape
        file.write_text(json.dumps(description))
        with contextlib.suppress(SdtuiError):
            Bundle.open(import_model(theirs, Path(folder) / "models").bundle.path)
