"""Shows the evening in the terminal: screens as text art, relay pulses, rows arriving in Postgres."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from demo.club import Club, GateBox
from display.preview import text_art

ROWS = """
select gate_id, seq, verdict, reason, kind, occurred_at from scan_logs
where received_at > %s order by received_at, gate_id, seq
"""


class Watch:
    """Checks gates and database five times a second and prints what is new.

    :param say: prints a line.
    """

    def __init__(self, club: Club, say: Callable[[str], None]) -> None:
        self._club = club
        self._say = say
        self._art_shown: set[tuple[object, ...]] = set()
        self._seen: set[tuple[str, int]] = set()
        self._database: psycopg.Connection[Any] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.decisions_ms: list[float] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self.look()
        if self._database is not None:
            self._database.close()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            self.look()

    def look(self) -> None:
        """Print what happened since the last call."""
        for gate in self._club.gates:
            self._gate(gate)
        self._rows()

    def _gate(self, gate: GateBox) -> None:
        scans, pulses = gate.scans(), gate.pulses()
        for scan in scans:
            self.decisions_ms.append(float(str(scan["decision_ms"])))
            mark = {"admit": "✔", "deny": "✘"}.get(str(scan["verdict"]), "!")
            flags = f" {scan['flags']}" if scan["flags"] else ""
            self._say(
                f"{gate.gate.name}  {mark} {scan['reason']} ({scan['kind']}){flags}  {scan['decision_ms']} ms"
            )
        if pulses:
            self._say(f"{gate.gate.name}  relay: {pulses} pulse{'s' if pulses > 1 else ''}")
        if scans:
            last = scans[-1]
            self._art(gate, (last["verdict"], last["reason"], last["kind"], last["online"]))

    def _art(self, gate: GateBox, kind: tuple[object, ...]) -> None:
        """Show the screen of each kind of answer, online and offline, the first time."""
        if kind in self._art_shown:
            return
        self._art_shown.add(kind)
        time.sleep(0.1)  # the screen's thread draws after the verdict is logged
        picture = gate.screen()
        if picture is not None:
            self._say(f"{gate.gate.name}  screen:\n{text_art(picture, style='braille')}")

    def _rows(self) -> None:
        try:
            if self._database is None:
                self._database = psycopg.connect(self._club.dsn, autocommit=True)
            rows = self._database.execute(ROWS.replace("%s", "now() - interval '20 s'")).fetchall()
        except psycopg.Error:
            self._database = None
            return
        new = [row for row in rows if (row[0], row[1]) not in self._seen]
        self._seen |= {(row[0], row[1]) for row in new}
        for gate_id, seq, verdict, reason, kind, at in new:
            self._say(f"    Postgres ← {gate_id} #{seq} {verdict} {reason} {kind} {at:%H:%M:%S}")
