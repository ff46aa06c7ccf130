"""The history database: SQLite in WAL mode, shared by every sdtui process of this person."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import reason
from sdtui.history.migrations import NewerSchemaError, migrate
from sdtui.history.record import Origin, PictureRecord

BUSY_SECONDS = 10.0


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
        if before is None:
            return self._select("ORDER BY id DESC LIMIT ?", limit)
        return self._select("WHERE id < ? ORDER BY id DESC LIMIT ?", before, limit)

    def search(self, text: str, limit: int = 50, before: int | None = None) -> list[PictureRecord]:
        """Pictures whose prompts or model hold every word of ``text``, or words that begin so."""
        words = re.findall(r"\w+", text)
        if not words:
            return [] if text.strip() else self.recent(limit, before)
        query = " ".join(f'"{word}"*' for word in words)
        return self._select(
            "WHERE id IN (SELECT rowid FROM picture_text WHERE picture_text MATCH ?) AND id < ?"
            " ORDER BY id DESC LIMIT ?",
            query,
            2**62 if before is None else before,
            limit,
        )

    def get(self, identity: int) -> PictureRecord | None:
        """The picture with this id, if there is one."""
        return next(iter(self._select("WHERE id = ?", identity)), None)

    def of_job(self, job: str) -> PictureRecord | None:
        """The picture that an engine job made, if it got that far."""
        return next(iter(self._select("WHERE job = ?", job)), None)

    def _select(self, rest: str, *values: object) -> list[PictureRecord]:
        with self._explained():
            with self._lock:
                rows = self._connection.execute(
                    "SELECT id, path, created, width, height, origin, seconds, peak_memory_bytes, job"
                    f" FROM picture {rest}",
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
    identity, path, created, width, height, origin, seconds, peak, job = row
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
    )
