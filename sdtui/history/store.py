"""The history database: SQLite in WAL mode, shared by every sdtui process of this person."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import reason
from sdtui.history.migrations import NewerSchemaError, migrate
from sdtui.history.record import Origin, PictureRecord

BUSY_SECONDS = 10.0

Order = Literal["newest", "oldest", "prompt", "model"]
ORDERS: dict[Order, str] = {
    "newest": "id DESC",
    "oldest": "id",
    "prompt": "json_extract(origin, '$.request.prompt') COLLATE NOCASE, id DESC",
    "model": "json_extract(origin, '$.model') COLLATE NOCASE, id DESC",
}
"""What pictures can be sorted by."""


class Search(msgspec.Struct, frozen=True):
    """Which pictures, in which order: prompts or model hold every word of ``text``, or its beginning."""

    text: str = ""
    favourites: bool = False
    order: Order = "newest"


class HistoryError(SdtuiError):
    """The history cannot be read or written."""


class History:
    """The pictures in the database ``file``, which is made when it is missing.

    One object may be used by several threads, one file by several processes. Every method raises
    :class:`HistoryError` when the disk is full, the file is read-only, damaged or of a later version.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        with self._explained():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                migrate(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def add(
        self,
        *,
        path: Path,
        origin: Origin,
        size: tuple[int, int],
        seconds: Mapping[str, float],
        peak_memory_bytes: int,
        job: str | None = None,
        created: datetime | None = None,
    ) -> PictureRecord:
        """Remember a picture of ``size`` (width, height); it is on disk when this returns."""
        moment = (created or datetime.now(UTC)).astimezone(UTC)
        request = origin.request
        with self._explained(), self._lock, self._transaction() as connection:
            identity = connection.execute(
                "INSERT INTO picture (path, created, width, height, origin, seconds, peak_memory_bytes, job)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    str(path),
                    moment.isoformat(),
                    *size,
                    msgspec.json.encode(origin).decode(),
                    msgspec.json.encode(dict(seconds)).decode(),
                    peak_memory_bytes,
                    job,
                ),
            ).lastrowid
            connection.execute(
                "INSERT INTO picture_text (rowid, prompt, negative_prompt, model) VALUES (?, ?, ?, ?)",
                (identity, request.prompt, request.negative_prompt, origin.model),
            )
        assert identity is not None
        return PictureRecord(
            id=identity,
            path=str(path),
            origin=origin,
            created=moment,
            width=size[0],
            height=size[1],
            seconds=dict(seconds),
            peak_memory_bytes=peak_memory_bytes,
            job=job,
        )

    def recent(self, limit: int = 50, before: int | None = None) -> list[PictureRecord]:
        """The latest pictures, newest first; ``before`` is an id, for the next page."""
        return self._select(
            "WHERE trashed_from IS NULL AND id < ? ORDER BY id DESC LIMIT ?",
            2**62 if before is None else before,
            limit,
        )

    def search(self, text: str, limit: int = 50, before: int | None = None) -> list[PictureRecord]:
        """Pictures whose prompts or model hold every word of ``text``, or words that begin so."""
        return self.pictures(self.find(Search(text), limit, before))

    def find(self, search: Search, limit: int = -1, before: int | None = None) -> list[int]:
        """The ids of the pictures that ``search`` asks for, in its order; a negative ``limit`` is none."""
        words = re.findall(r"\w+", search.text)
        if search.text.strip() and not words:
            return []
        conditions, values = ["trashed_from IS NULL"], list[object]()
        if words:
            conditions.append("id IN (SELECT rowid FROM picture_text WHERE picture_text MATCH ?)")
            values.append(" ".join(f'"{word}"*' for word in words))
        if search.favourites:
            conditions.append("favourite")
        if before is not None:
            conditions.append("id < ?")
            values.append(before)
        with self._explained(), self._lock:
            rows = self._connection.execute(
                f"SELECT id FROM picture WHERE {' AND '.join(conditions)}"
                f" ORDER BY {ORDERS[search.order]} LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [identity for (identity,) in rows]

    def pictures(self, identities: Sequence[int]) -> list[PictureRecord]:
        """The pictures with these ids, in their order, without those that there are not."""
        known = {
            record.id: record
            for record in self._select(
                "WHERE id IN (SELECT value FROM json_each(?))", msgspec.json.encode(identities).decode()
            )
        }
        return [known[identity] for identity in identities if identity in known]

    def prompts(self, limit: int) -> list[str]:
        """The prompts of the latest ``limit`` pictures, newest first, each once."""
        return self._latest_texts("prompt", limit)

    def negative_prompts(self, limit: int) -> list[str]:
        """The negative prompts of the latest ``limit`` pictures, newest first, each once."""
        return self._latest_texts("negative_prompt", limit)

    def _latest_texts(self, column: Literal["prompt", "negative_prompt"], limit: int) -> list[str]:
        with self._explained(), self._lock:
            rows = self._connection.execute(
                f"SELECT {column} FROM picture_text ORDER BY rowid DESC LIMIT ?", (limit,)
            ).fetchall()
        return [text for text in dict.fromkeys(text for (text,) in rows) if text]

    def peak(self, model: str, size: tuple[int, int], latest: int = 20) -> int | None:
        """The most bytes that one of the ``latest`` pictures of a model in this size has taken."""
        with self._explained(), self._lock:
            (peak,) = self._connection.execute(
                "SELECT max(peak_memory_bytes) FROM (SELECT peak_memory_bytes FROM picture"
                " WHERE json_extract(origin, '$.model') = ? AND width = ? AND height = ?"
                " ORDER BY id DESC LIMIT ?)",
                (model, *size, latest),
            ).fetchone()
        return None if peak is None else int(peak)

    def get(self, identity: int) -> PictureRecord | None:
        """The picture with this id, if there is one."""
        return next(iter(self._select("WHERE id = ?", identity)), None)

    def of_job(self, job: str) -> PictureRecord | None:
        """The picture that an engine job made, if it got that far."""
        return next(iter(self._select("WHERE job = ?", job)), None)

    # ---- what the person does with them --------------------------------------------------------

    def favour(self, identity: int, favourite: bool) -> None:
        """Mark a picture as one of the person's favourites, or take the mark back."""
        with self._explained(), self._lock, self._transaction() as connection:
            connection.execute("UPDATE picture SET favourite = ? WHERE id = ?", (favourite, identity))

    def trash(self, identity: int, folder: Path) -> None:
        """Take a picture out of every list, and its file, if it is still there, to ``folder``."""
        with self._explained(), self._lock, self._transaction() as connection:
            row = connection.execute(
                "SELECT path FROM picture WHERE id = ? AND trashed_from IS NULL", (identity,)
            ).fetchone()
            if row is None:
                return
            source = Path(row[0])
            target = folder / f"{identity}-{source.name}"
            connection.execute(
                "UPDATE picture SET path = ?, trashed_from = ?, trashed = ? WHERE id = ?",
                (str(target), str(source), datetime.now(UTC).isoformat(), identity),
            )
            folder.mkdir(parents=True, exist_ok=True)
            _move(source, target)

    def restore(self, identity: int) -> None:
        """Take a picture back out of the trash, its file to where it was."""
        with self._explained(), self._lock, self._transaction() as connection:
            row = connection.execute(
                "SELECT path, trashed_from FROM picture WHERE id = ? AND trashed_from IS NOT NULL",
                (identity,),
            ).fetchone()
            if row is None:
                return
            trashed, target = map(Path, row)
            if target.exists():
                target = target.with_stem(f"{target.stem}-{identity}")
            connection.execute(
                "UPDATE picture SET path = ?, trashed_from = NULL, trashed = NULL WHERE id = ?",
                (str(target), identity),
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            _move(trashed, target)

    def in_trash(self) -> tuple[int, int]:
        """How many pictures lie in the trash, and the bytes of their files."""
        with self._explained(), self._lock:
            rows = self._connection.execute(
                "SELECT path FROM picture WHERE trashed_from IS NOT NULL"
            ).fetchall()
        return len(rows), sum(_size(Path(path)) for (path,) in rows)

    def empty_trash(self, folder: Path, before: datetime) -> tuple[int, int]:
        """Forget the pictures in the trash since ``before``, and delete their files from ``folder``.

        Returns how many, and the bytes of their files. A file that lies elsewhere stays, and its row.
        """
        gone, size = 0, 0
        with self._explained(), self._lock, self._transaction() as connection:
            rows = connection.execute(
                "SELECT id, path FROM picture WHERE trashed_from IS NOT NULL"
                " AND julianday(trashed) <= julianday(?)",
                (before.isoformat(),),
            ).fetchall()
            for identity, file in ((identity, Path(path)) for identity, path in rows):
                if file.parent != folder:
                    continue
                size += _size(file)
                file.unlink(missing_ok=True)  # before its row: without one, nobody would find it again
                connection.execute("DELETE FROM picture WHERE id = ?", (identity,))
                connection.execute("DELETE FROM picture_text WHERE rowid = ?", (identity,))
                gone += 1
        return gone, size

    def mentions(self, text: str) -> bool:
        """Whether ``text`` stands in how any picture was made, those in the trash too."""
        with self._explained(), self._lock:
            found = self._connection.execute(
                "SELECT 1 FROM picture WHERE instr(origin, ?) LIMIT 1", (text,)
            ).fetchone()
        return found is not None

    def _select(self, rest: str, *values: object) -> list[PictureRecord]:
        with self._explained():
            with self._lock:
                rows = self._connection.execute(
                    "SELECT id, path, created, width, height, origin, seconds, peak_memory_bytes, job,"
                    f" favourite FROM picture {rest}",
                    values,
                ).fetchall()
            return [_record(row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in people's words what SQLite or the system refused."""
        try:
            yield
        except NewerSchemaError as error:
            raise HistoryError(
                f"{self._file} cannot be used", "a later version of sdtui wrote it", "update sdtui"
            ) from error
        except (msgspec.DecodeError, SdtuiError) as error:
            raise HistoryError(
                f"{self._file} cannot be read", f"a row is damaged: {error}", "update sdtui, or move it away"
            ) from error
        except OSError as error:
            raise HistoryError(
                f"{self._file} cannot be used", reason(error), "make room or make it writable"
            ) from error
        except sqlite3.OperationalError as error:
            raise HistoryError(
                f"{self._file} cannot be used",
                str(error),
                "make room or make it writable",
            ) from error
        except sqlite3.DatabaseError as error:
            raise HistoryError(
                f"{self._file} cannot be used",
                str(error),
                "move it away to start anew",
            ) from error


def _record(row: tuple[Any, ...]) -> PictureRecord:
    identity, path, created, width, height, origin, seconds, peak, job, favourite = row
    return PictureRecord(
        id=identity,
        path=path,
        origin=msgspec.json.decode(origin, type=Origin),
        created=datetime.fromisoformat(created),
        width=width,
        height=height,
        seconds=msgspec.json.decode(seconds, type=dict[str, float]),
        peak_memory_bytes=peak,
        job=job,
        favourite=bool(favourite),
    )


def _size(file: Path) -> int:
    """Bytes of a file; none where there is no file."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _move(source: Path, target: Path) -> None:
    """Rename a file, also to another disk; one that is gone is not missed. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.move(source, target)
