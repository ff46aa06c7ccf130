"""Folders appear whole or not at all, and what a kill leaves behind goes at the next occasion."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sdtui.files import create_folder_atomically

MAKES_HALF = """
import os, pathlib, signal, sys
from sdtui.files import create_folder_atomically
with create_folder_atomically(pathlib.Path(sys.argv[1])) as folder:
    folder.mkdir()
    (folder / "half").touch()
    print("half", flush=True)
    sys.stdin.readline()
"""


def _long_ago(parent: Path) -> Path:
    """Let the one hidden folder look as if it were made an hour ago."""
    (hidden,) = parent.glob(".sdtui-*")
    os.utime(hidden, (time.time() - 3600,) * 2)
    return hidden


def test_a_folder_is_swept_once_its_maker_is_dead(tmp_path: Path) -> None:
    """However long it takes, while it lives it keeps what it has made."""
    command = [sys.executable, "-c", MAKES_HALF, str(tmp_path / "first")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        hidden = _long_ago(tmp_path)
        with create_folder_atomically(tmp_path / "second") as folder:
            folder.mkdir()
        assert (hidden / "first" / "half").exists()
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "first").exists()
    with create_folder_atomically(tmp_path / "first") as folder:
        folder.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_what_is_not_such_a_folder_stays(tmp_path: Path) -> None:
    kept = ".sdtui-convert-tiny", ".sdtui-0123456789abcdef.tmp", ".sdtui-notes", "sdtui-abcd_012"
    for name in kept:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".sdtui-abcd_013").mkdir()
    with create_folder_atomically(tmp_path / "made") as folder:
        folder.mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {*kept, ".sdtui-abcd_013", "made"}, "the last is new"
