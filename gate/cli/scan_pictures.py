"""`maguey-gate scan`: decides and records pictures of tickets as at the door."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gate import bootstrap
from gate.clock import Clock
from gate.common.uuids import new_uuid7
from gate.config import GateFile
from gate.door.desk import Answered, Desk
from gate.door.turnstile import let_in
from gate.ports.devices import Look, Turnstile
from gate.rules.presence import Presence, observe
from gate.store.journal import Journal


def scan_pictures(
    settings: GateFile, files: list[Path], *, release: bool
) -> Iterator[tuple[dict[str, object], bool]]:
    """The verdict on each picture, for JSON, and whether the file cannot be read as a picture.

    :param release: move the turnstile of an admitted guest.
    """
    journal = bootstrap.journal(settings)
    clock = bootstrap.clock(settings)
    desk = bootstrap.make_desk(settings, journal)
    turnstile = bootstrap.turnstile(settings) if release else None
    try:
        for file, look in _looks(files):
            answered = _scan(desk, look, release=release)
            if turnstile is not None and answered is not None:
                _let_in(journal, turnstile, answered, clock)
            yield {"file": str(file), **_as_json(settings, answered, look)}, bootstrap.is_refused(look)
    finally:
        journal.close()
        if turnstile is not None:
            turnstile.close()


def _looks(files: list[Path]) -> Iterator[tuple[Path, Look]]:
    """Each picture with the codes in it. The decoder is a child process: a picture can only harm that."""
    eye = bootstrap.pictures_eye(files)
    try:
        for file in files:
            look = None
            while look is None and not eye.exhausted():
                look = eye.look(timeout=1.0)
            yield file, look or Look()
    finally:
        eye.close()


def _scan(desk: Desk, look: Look, *, release: bool) -> Answered | None:
    """Decide one picture, regardless of the one before; None if there is nothing to decide."""
    if bootstrap.is_refused(look):
        return None
    _, presented = observe(Presence(), look.sightings, 0)
    return desk.answer(presented, release=release) if presented else None


def _let_in(journal: Journal, turnstile: Turnstile, answered: Answered, clock: Clock) -> None:
    record = answered.record
    if record is not None and record.released:
        now = clock.now()
        let_in(journal, turnstile, record, now, new_uuid7(now.wall, os.urandom))


def _as_json(config: GateFile, answered: Answered | None, look: Look) -> dict[str, object]:
    if answered is None:
        nothing: dict[str, object] = {"verdict": None, "reason": "no_code", "headline": "", "lines": []}
        error = "This file cannot be read as a picture. Run maguey-gate decode to see why."
        return {**nothing, "reason": "no_picture", "error": error} if bootstrap.is_refused(look) else nothing
    verdict, page = answered.verdict, bootstrap.words(config, answered.screen)
    return {
        "verdict": verdict.ruling.value,
        "reason": verdict.reason.value,
        "headline": page.headline,
        "lines": page.lines,
        "subject_id": verdict.subject_id,
        "kind": verdict.kind.value,
        "rule": verdict.line,
        "flags": verdict.flags,
        "table": verdict.table,
        "released": answered.record.released if answered.record else False,
        "scan_id": answered.record.scan_id if answered.record else None,
        "seq": answered.record.seq if answered.record else None,
        "decision_ms": round(answered.decision_ms, 3),
    }
