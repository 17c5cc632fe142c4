"""The hub's functions, views, triggers and rights: dropped and made again whenever one of them changed.

Each stands once, in `sql/objects/*.sql`, and is edited there. What was made is noted in the table
`applied_objects` with a digest of the files, so a changed signature leaves no second function behind.
"""

from __future__ import annotations

import hashlib

import psycopg

from hub.db.connection import Connection
from hub.db.statements import query, sql_folder
from hub.errors import HubError


def apply_objects(conn: Connection, *, anyway: bool) -> bool:
    """Make all objects of these files, in one transaction.

    :param anyway: even if the files are those that were applied last: their tables have changed.
    :returns: whether there was anything to do.
    :raises HubError: one of the files failed; nothing was changed.
    """
    files = object_files()
    digest = hashlib.sha256(repr(files).encode()).hexdigest()
    with conn.transaction():
        applied = conn.execute(query("applied_digest")).fetchone()
        if applied and applied["digest"] == digest and not anyway:
            return False
        conn.execute(query("drop_objects"))
        for name, sql in files.items():
            try:
                conn.execute(sql)
            except psycopg.Error as error:
                raise HubError(
                    f"objects/{name} could not be applied: {error.diag.message_primary or error}. "
                    "Nothing of objects/ was changed; migrate again once the cause is gone."
                ) from error
        conn.execute(query("note_objects"), {"digest": digest})
    return True


def object_files() -> dict[str, bytes]:
    """The text of each file of `sql/objects/`, by its name, in the order in which they are applied."""
    folder = sql_folder() / "objects"
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir(), key=lambda file: file.name)}
