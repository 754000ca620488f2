"""The engine's state on disk: SQLite (WAL), opened by the engine alone. Tables, migrations, queries; documents are JSON.

Everything is written before it is reported. synchronous=NORMAL: a power cut may lose the last moments, a crash of the
engine loses nothing. It must never be opened by a second process.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pydantic_core

from compose_lite.engine import record
from compose_lite.engine.record import Container

Document = dict[str, Any]
_MIGRATIONS = (
    """
    CREATE TABLE containers (id TEXT PRIMARY KEY, wishes BLOB NOT NULL, facts BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE networks (id TEXT PRIMARY KEY, name TEXT NOT NULL, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE volumes (name TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
)


class Store:
    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)  # it holds environments and secrets; -wal and -shm take its mode
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, a removed container's secrets among it
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # locked once, not at each statement
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        for number, script in enumerate(_MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def close(self) -> None:
        self._db.close()

    # containers

    def containers(self) -> list[Container]:
        rows = self._db.execute("SELECT wishes, facts FROM containers")
        return [record.container(pydantic_core.from_json(asked), pydantic_core.from_json(became)) for asked, became in rows]

    def put_container(self, container: Container) -> None:
        asked, became = pydantic_core.to_json(record.wishes(container)), pydantic_core.to_json(record.facts(container))
        self._db.execute("INSERT OR REPLACE INTO containers VALUES (?, ?, ?)", (container.id, asked, became))

    def put_facts(self, container: Container) -> None:
        """The changing half; nothing when the container is not stored any more."""
        self._db.execute("UPDATE containers SET facts = ? WHERE id = ?", (pydantic_core.to_json(record.facts(container)), container.id))

    def delete_container(self, id: str) -> None:
        self._db.execute("DELETE FROM containers WHERE id = ?", (id,))

    # networks

    def networks(self) -> list[Document]:
        return [pydantic_core.from_json(text) for (text,) in self._db.execute("SELECT document FROM networks")]

    def put_network(self, id: str, name: str, document: Document) -> None:
        self._db.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?)", (id, name, pydantic_core.to_json(document)))

    def delete_network(self, id: str) -> None:
        self._db.execute("DELETE FROM networks WHERE id = ?", (id,))

    # volumes

    def volumes(self) -> list[Document]:
        return [pydantic_core.from_json(text) for (text,) in self._db.execute("SELECT document FROM volumes")]

    def put_volume(self, name: str, document: Document) -> None:
        self._db.execute("INSERT OR REPLACE INTO volumes VALUES (?, ?)", (name, pydantic_core.to_json(document)))

    def delete_volume(self, name: str) -> None:
        self._db.execute("DELETE FROM volumes WHERE name = ?", (name,))

    # settings: the engine's id and the like

    def setting(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def put_setting(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))
