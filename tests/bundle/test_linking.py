"""The same file in two places, however the file system can do that."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from sdtui.bundle.linking import copy_file, place_file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source"
    file.write_bytes(bytes(range(256)) * 100)
    return file


def refusing(number: int) -> Any:
    """A system call that fails with ``number``."""

    def call(*_arguments: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


def test_a_hard_link_where_nothing_can_be_cloned(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.ENOTTY))
    place_file(source, tmp_path / "target")
    assert (tmp_path / "target").samefile(source)


def test_a_clone_is_preferred(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file system that clones would do it: it stays what it is when the source is written to."""

    def clone(target: int, _request: int, original: int) -> None:
        os.write(target, os.pread(original, 1 << 20, 0))

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(fcntl, "ioctl", clone)
    place_file(source, tmp_path / "target")
    assert not (tmp_path / "target").samefile(source)
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_a_copy_is_the_last_resort(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "link", refusing(number))
    place_file(source, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert source.stat().st_nlink == 1


@pytest.mark.parametrize("call", ["fcntl.ioctl", "os.link"])
def test_a_full_disk_is_no_reason_to_try_otherwise(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", refusing(errno.EOPNOTSUPP))
    monkeypatch.setattr(call, refusing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        place_file(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_what_a_link_leads_to_is_taken(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    place_file(tmp_path / "link", tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "target").read_bytes() == source.read_bytes()


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    for put in (place_file, copy_file):
        with pytest.raises(FileExistsError):
            put(source, tmp_path / "target")
    assert (tmp_path / "target").read_text() == "mine"


def test_only_files_are_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for put in (place_file, copy_file):
        with pytest.raises(OSError, match="pipe is not a regular file"):
            put(tmp_path / "pipe", tmp_path / "target")
