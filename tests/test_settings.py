"""Settings: the person's file stays the person's; the folders are ours alone."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from sdtui.files import FileError, create_atomically, private_folder, write_atomically
from sdtui.settings import SOCKET_PATH_LIMIT, Settings, SettingsError, load_settings, places, save_settings


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SDTUI_HOME", str(tmp_path / "home"))
    file = places().settings_file
    file.parent.mkdir(parents=True)
    return file


def test_without_a_file_there_are_defaults() -> None:
    assert load_settings() == Settings()


def test_what_is_saved_is_loaded() -> None:
    chosen = Settings(model="sd", steps=7, scheduler="euler-a", theme="nord", unload_minutes=0.5)
    save_settings(chosen)
    assert load_settings() == chosen


def test_saving_keeps_comments_and_order(settings_file: Path) -> None:
    settings_file.write_text('# mine\ntheme = "nord"\nsteps = 7  # enough\n')
    save_settings(msgspec.structs.replace(load_settings(), steps=9))
    assert settings_file.read_text() == '# mine\ntheme = "nord"\nsteps = 9  # enough\n'


def test_saving_follows_a_link_to_the_persons_dotfiles(settings_file: Path, tmp_path: Path) -> None:
    dotfile = tmp_path / "dotfile.toml"
    dotfile.write_text("steps = 7\n")
    settings_file.symlink_to(dotfile)
    save_settings(Settings(steps=8))
    assert settings_file.is_symlink()
    assert dotfile.read_text() == "steps = 8\n"


def test_a_whole_number_is_a_fine_guidance_scale(settings_file: Path) -> None:
    settings_file.write_text("guidance_scale = 7\n")
    assert load_settings().guidance_scale == 7.0


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("steps = 20\nmodel = = 3\n", "line 2"),
        ("steps = -3\n", "steps"),
        ("steps = 'many'\n", "steps"),
        ("scheduler = 'magic'\n", "scheduler"),
        ("colour = 'red'\n", "colour"),
        ("unload_minutes = -1\n", "unload_minutes"),
        ("compiled_cache_gigabytes = -1\n", "compiled_cache_gigabytes"),
    ],
)
def test_a_broken_file_is_named_and_not_lost(settings_file: Path, content: str, named: str) -> None:
    settings_file.write_text(content)
    with pytest.raises(SettingsError, match=named):
        load_settings()
    assert settings_file.read_text() == content


def test_saving_over_unreadable_toml_is_refused(settings_file: Path) -> None:
    settings_file.write_text("steps = = 3")
    with pytest.raises(SettingsError):
        save_settings(Settings(steps=4))
    assert settings_file.read_text() == "steps = = 3"


def test_everything_lies_under_sdtui_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    found = places()
    assert all(folder.is_relative_to(home) for folder in (found.config, found.data, found.cache, found.state))


def test_the_socket_address_is_short_even_under_a_long_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_HOME", "/tmp/" + "long/" * 40)
    first = places().socket
    assert len(bytes(first)) <= SOCKET_PATH_LIMIT
    assert places().socket == first
    monkeypatch.setenv("SDTUI_HOME", "/tmp/" + "long/" * 41)
    assert places().socket != first


def test_a_private_folder_is_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o755)
    assert stat.S_IMODE(private_folder(folder).stat().st_mode) == 0o700
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(FileError, match="not a folder of yours"):
        private_folder(link)


def test_atomic_writes_leave_all_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    create_atomically(file, b"one")
    with pytest.raises(FileExistsError):
        create_atomically(file, b"two")
    assert file.read_bytes() == b"one"
    write_atomically(file, b"three")
    assert file.read_bytes() == b"three"
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path, b"four")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]
