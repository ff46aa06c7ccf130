"""The history's schema, one numbered step after another. Never change a step that was released."""

from __future__ import annotations

import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE picture (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            path TEXT NOT NULL,
            created TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            origin TEXT NOT NULL,
            seconds TEXT NOT NULL,
            peak_memory_bytes INTEGER NOT NULL,
            job TEXT UNIQUE
        ) STRICT
        """,
        """
        CREATE VIRTUAL TABLE picture_text USING fts5(
            prompt, negative_prompt, model, tokenize = "unicode61 remove_diacritics 2"
        )
        """,
    ),
    (
        "ALTER TABLE picture ADD COLUMN favourite INTEGER NOT NULL DEFAULT 0",
        # Where the file was before it went to the trash; null for a picture that is not there.
        "ALTER TABLE picture ADD COLUMN trashed_from TEXT",
    ),
    (
        # When it went there; what lies there already begins its time now.
        "ALTER TABLE picture ADD COLUMN trashed TEXT",
        "UPDATE picture SET trashed = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"
        " WHERE trashed_from IS NOT NULL",
    ),
)


class NewerSchemaError(Exception):
    """The database was written by a later version of sdtui."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, all or nothing, also when several processes try at once.

    ``connection`` is in autocommit mode. Raises :class:`NewerSchemaError`, sqlite3.Error.
    """
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise NewerSchemaError
        for steps in MIGRATIONS[version:]:
            for step in steps:
                connection.execute(step)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
