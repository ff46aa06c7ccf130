"""Golden latents: a model that is no longer itself is noticed."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from sdtui.bundle import Bundle, locate
from sdtui.doctor.golden import OTHER_WAY, REQUEST, SAME_WAY, Order, Outcome, _compared
from sdtui.doctor.golden_process import run
from sdtui.doctor.golden_record import EQUAL, Agreement, Remembered, Surroundings
from sdtui.request import Precision
from tests.cli.conftest import sdtui
from tests.doctor.test_doctor import Diagnosis


def golden(code: int = 0) -> Diagnosis:
    ran = sdtui("doctor", "--golden", "--model", "tiny", "--json")
    assert ran.code == code, ran
    return msgspec.json.decode(ran.out, type=Diagnosis)


def outcome(bundle: Path, precision: Precision, output: Path, **references: Path) -> Outcome:
    """One golden picture, here and now."""
    order = Order(
        model=str(bundle),
        request=REQUEST.replace(compute_units="cpu-only", precision=precision),
        output=str(output),
        references={name: str(file) for name, file in references.items()},
    )
    return run(order, lambda _: None)


def spoil(weights: Path) -> None:
    """Zero the large weights, and leave the 64 bytes before each that say what it is."""
    content = bytearray(weights.read_bytes())
    starts = [match.start() for match in re.finditer(re.escape(b"\xef\xbe\xad\xde"), content)]
    for start, end in pairwise([*starts, len(content)]):
        if end - start > 4096:
            content[start + 64 : end] = bytes(end - start - 64)
    weights.write_bytes(content)


def test_a_model_that_changed_is_noticed(
    home: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = shutil.copytree(tiny_bundle, home / "data/models/tiny")
    first = golden().of("golden latents", "tiny all auto")
    assert (first.level, "remembered from now on" in first.told) == ("ok", True)
    (note,) = (home / "data/golden").glob("*.json")
    known = json.loads(note.read_text())
    assert known["hash"] == Bundle.open(folder).hash
    assert known["surroundings"]["versions"]["torch"]

    spoil(next((folder / "Unet.mlpackage").rglob("weight.bin")))
    broken = golden(code=1)
    finding = broken.of("golden latents", "tiny all auto")
    assert finding.level == "problem"
    assert float(finding.figures["latents_db"] or 0) < SAME_WAY
    assert "no update explains it" in finding.told
    assert finding.remedy == "run `sdtui models verify tiny`"
    assert broken.of("models", "tiny").level == "problem"

    known = json.loads(note.read_text())
    assert known["agreement"]["latents"] == finding.figures["latents_db"]
    known["checked_in"]["build"] = "24B83"
    note.write_text(json.dumps(known))
    ran = sdtui("doctor")
    assert "(24B83) -> " in ran.out, "an update since calls for a new look, with no computing"


def test_an_update_that_breaks_a_model_is_named(tmp_path: Path) -> None:
    """Nothing in the model changed, the system did: that is what the person is told, and what to do."""
    then = Surroundings(os="macOS 15.1", build="24B83", cpu="Apple M2", versions={"torch": "2.12"})
    now = Surroundings(os="macOS 15.2", build="24C101", cpu="Apple M2", versions={"torch": "2.12"})
    known = Remembered(
        model="tiny", hash="0", compute_units="cpu-and-ne", precision="auto", runtime="coreml cpu-and-ne",
        surroundings=then, made="2026-11-01T10:00:00", checked="2026-11-21T10:00:00", checked_in=now,
        agreement=Agreement(9.0, 12.0),
    )  # fmt: skip
    after = Outcome(runtime="coreml cpu-and-ne", seconds=3.0, agreements={"past": Agreement(9.0, 12.0)})
    finding = _compared("tiny cpu-and-ne auto", known, after, tmp_path / "kept.npz")
    assert (finding.level, finding.subject) == ("problem", "tiny cpu-and-ne auto")
    assert "an update broke this model: system macOS 15.1 (24B83) -> macOS 15.2 (24C101)" in finding.told
    assert "choose other compute units or precision" in finding.remedy


def test_the_same_model_is_equal_to_its_past_and_close_in_another_precision(tmp_path: Path) -> None:
    starter = locate(None)
    outcome(starter, "fp32", tmp_path / "fp32.npz")
    again = outcome(starter, "fp32", tmp_path / "again.npz", past=tmp_path / "fp32.npz")
    assert again.agreements == {"past": Agreement(EQUAL, EQUAL)}
    half = outcome(starter, "bf16", tmp_path / "bf16.npz", fp32=tmp_path / "fp32.npz")
    assert half.runtime == "portable bf16"
    assert OTHER_WAY + 10 < half.agreements["fp32"].least < EQUAL


def test_a_broken_memory_names_itself(tiny_bundle: Path, tmp_path: Path) -> None:
    from sdtui.bench.errors import MeasurementError

    past = tmp_path / "past.npz"
    past.write_bytes(b"PK\3\4 broken")
    with pytest.raises(MeasurementError, match=r"past\.npz is broken"):
        outcome(tiny_bundle, "fp32", tmp_path / "now.npz", past=past)


def test_what_an_update_changes_is_named() -> None:
    then = Surroundings(
        os="macOS 15.1", build="24B83", cpu="Apple M2", versions={"torch": "2.12", "old": "1"}
    )
    now = Surroundings(os="macOS 15.2", build="24C101", cpu="Apple M2", versions={"torch": "2.13"})
    assert now.changes(then) == [
        "system macOS 15.1 (24B83) -> macOS 15.2 (24C101)", "torch 2.12 -> 2.13", "old 1 -> none"
    ]  # fmt: skip
    assert now.changes(now) == []
    assert str(Agreement(EQUAL, EQUAL)) == "equal"
    assert str(Agreement(31.2, 45.0)) == "latents 31 dB, picture 45 dB"
    assert msgspec.json.decode(msgspec.json.encode(now), type=Surroundings) == now
    assert Remembered.__struct_fields__[0] == "model"
