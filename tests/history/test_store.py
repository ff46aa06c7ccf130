"""The history on a real SQLite file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdtui.history import History, HistoryError, Origin, PictureRecord, Search
from sdtui.history.migrations import MIGRATIONS
from sdtui.request import GenerationRequest


def add(
    history: History,
    prompt: str,
    *,
    negative: str = "",
    job: str | None = None,
    folder: Path = Path("/pictures"),
) -> PictureRecord:
    request = GenerationRequest(prompt=prompt, negative_prompt=negative, seed=7)
    return history.add(
        path=folder / f"{prompt}.png",
        origin=Origin(
            request=request, model="starter", model_hash="ab" * 32, runtime="portable fp32", version="1"
        ),
        size=(64, 48),
        seconds={"load": 0.0, "total": 1.5},
        peak_memory_bytes=2**33,
        job=job,
    )


def test_a_picture_is_found_again_as_it_was_added(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    with History(tmp_path / "new" / "history.sqlite") as history:
        added = add(history, "a red apple", job="j1")
        assert history.get(added.id) == added
        assert history.of_job("j1") == added
        assert history.of_job("j2") is None
        assert history.get(added.id + 1) is None
    assert before <= added.created <= datetime.now(UTC)
    assert (added.width, added.height) == (64, 48)


def test_recent_pages_backwards(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        ids = [add(history, f"picture {number}").id for number in range(5)]
        first = history.recent(limit=2)
        second = history.recent(limit=2, before=first[-1].id)
        assert [record.id for record in first + second] == ids[:0:-1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("apple", ["green apple", "red apple"]),
        ("app", ["green apple", "red apple"]),
        ("APPLE red", ["red apple"]),
        ("cafe", ["café"]),
        ("blurry", ["green apple"]),
        ("starter", ["café", "green apple", "red apple"]),
        ("", ["café", "green apple", "red apple"]),
        ("pear", []),
        ('"; DROP TABLE picture --', []),
        ("* OR NOT", []),
        ("!!!", []),
    ],
)
def test_search_finds_words_and_their_beginnings(tmp_path: Path, text: str, found: list[str]) -> None:
    with History(tmp_path / "history.sqlite") as history:
        add(history, "red apple")
        add(history, "green apple", negative="blurry")
        add(history, "café")
        assert [record.request.prompt for record in history.search(text)] == found


def test_pictures_are_sorted_and_the_favourites_told_apart(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        pear, apple, plum = (add(history, prompt).id for prompt in ("Pear", "apple", "plum"))
        history.favour(apple, True)
        history.favour(plum, True)
        history.favour(plum, False)
        assert history.find(Search()) == [plum, apple, pear]
        assert history.find(Search(order="oldest"), limit=2) == [pear, apple]
        assert history.find(Search(order="prompt")) == [apple, pear, plum]
        assert history.find(Search(text="p", favourites=True)) == []
        assert history.find(Search(text="app", favourites=True)) == [apple]
        assert [record.favourite for record in history.pictures([plum, 99, apple])] == [False, True]


def test_a_picture_goes_to_the_trash_and_comes_back(tmp_path: Path) -> None:
    pictures, trash = tmp_path / "pictures", tmp_path / "trash"
    pictures.mkdir()
    with History(tmp_path / "history.sqlite") as history:
        record = add(history, "apple", folder=pictures)
        file = Path(record.path)
        file.write_bytes(b"apple")
        history.trash(record.id, trash)
        assert history.recent() == [] == history.search("apple")
        assert not file.exists()
        assert [each.read_bytes() for each in trash.iterdir()] == [b"apple"]
        history.trash(record.id, trash)
        file.write_bytes(b"another has taken its name meanwhile")
        history.restore(record.id)
        (restored,) = history.search("apple")
        assert Path(restored.path).read_bytes() == b"apple"
        assert file.read_bytes() == b"another has taken its name meanwhile"
        assert not list(trash.iterdir())


def test_a_picture_without_its_file_goes_to_the_trash_too(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        record = add(history, "apple", folder=tmp_path / "gone")
        history.trash(record.id, tmp_path / "trash")
        assert history.recent() == []
        history.restore(record.id)
        assert history.recent() == [record]


def test_a_file_that_cannot_be_moved_leaves_the_picture_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "trash").write_text("no folder")
    with History(tmp_path / "history.sqlite") as history:
        record = add(history, "apple")
        with pytest.raises(HistoryError):
            history.trash(record.id, tmp_path / "trash")
        assert history.recent() == [record]


def test_a_history_of_the_first_version_keeps_its_pictures(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    connection = sqlite3.connect(file)
    for step in MIGRATIONS[0]:
        connection.execute(step)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(
        "INSERT INTO picture (path, created, width, height, origin, seconds, peak_memory_bytes) VALUES "
        "('/a.png', '2026-01-01T00:00:00+00:00', 64, 64, ?, '{}', 1)",
        (
            '{"request": {"prompt": "old", "seed": 1}, "model": "starter", "model_hash": "0",'
            ' "runtime": "portable", "version": "0"}',
        ),
    )
    connection.commit()
    connection.close()
    with History(file) as history:
        assert [(each.request.prompt, each.favourite) for each in history.recent()] == [("old", False)]


def test_prompts_are_told_once_and_newest_first(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        for prompt, negative in (("a", ""), ("b", "blurry"), ("a", "noise")):
            add(history, prompt, negative=negative)
        assert history.prompts(9) == ["a", "b"]
        assert history.prompts(1) == ["a"]
        assert history.negative_prompts(9) == ["noise", "blurry"]


def test_the_most_memory_of_a_model_and_size_is_that_of_its_latest_pictures(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        for peak, size in ((9, (64, 48)), (5, (64, 48)), (7, (64, 64)), (4, (64, 48))):
            history.add(
                path=tmp_path / "a.png",
                origin=Origin(
                    request=GenerationRequest(prompt="a", seed=1),
                    model="starter",
                    model_hash="0",
                    runtime="portable",
                    version="1",
                ),
                size=size,
                seconds={},
                peak_memory_bytes=peak,
            )
        assert history.peak("starter", (64, 48)) == 9
        assert history.peak("starter", (64, 48), latest=2) == 5
        assert history.peak("starter", (512, 512)) is None
        assert history.peak("other", (64, 48)) is None


def test_several_processes_add_at_once(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    program = (
        "import sys; from pathlib import Path; from sdtui.history import History\n"
        "from tests.history.test_store import add\n"
        "with History(Path(sys.argv[1])) as history:\n"
        "    for number in range(20): add(history, f'{sys.argv[2]} {number}')\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(file), name], stderr=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]
    for writer in writers:
        _, complaint = writer.communicate(timeout=60)
        assert writer.returncode == 0, complaint.decode()
    with History(file) as history:
        assert len(history.recent(limit=100)) == 60
        assert len(history.search("two", limit=100)) == 20


def test_a_job_is_remembered_once(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        add(history, "first", job="j1")
        with pytest.raises(HistoryError):
            add(history, "again", job="j1")
        assert [record.request.prompt for record in history.search("")] == ["first"]
        assert history.search("again") == []


def test_a_later_schema_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    History(file).close()
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(HistoryError, match="update sdtui"):
        History(file)


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    file.write_text("this is not a database, but it may be dear to someone " * 40)
    content = file.read_bytes()
    with pytest.raises(HistoryError, match="not a database"):
        History(file)
    assert file.read_bytes() == content


def test_a_full_disk_is_an_error_and_the_rows_stay(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        add(history, "kept")
        pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
        history._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(HistoryError, match="full"):
            add(history, "too much " * 10_000)
        assert [record.request.prompt for record in history.recent()] == ["kept"]


def test_a_read_only_file_is_an_error(tmp_path: Path) -> None:
    with History(tmp_path / "history.sqlite") as history:
        history._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(HistoryError, match="readonly"):
            add(history, "never")
