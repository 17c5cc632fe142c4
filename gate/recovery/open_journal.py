"""Opens the door's journal, after salvaging it if it is damaged: docs/adr/0012-a-damaged-journal.md.

Theory of operation. There are four kinds of files side by side, and whenever the process is killed, they say
how far it got:

- ``journal.db`` (with its ``-wal`` and ``-shm``): the journal in use;
- ``journal.building.db``: a new journal in the making. It is worth nothing and removed at the next attempt;
- ``journal.new-<time>.db``: a new journal, complete and on the disk. Whatever else is there, this is the
  journal from now on: the file in its place is set aside under the same time, and this one takes the place;
- ``journal.damaged-<time>.db`` (with its companions): set aside, and never changed, overwritten or deleted.

So nothing is moved before everything that can be read is safe in the new file.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from gate.clock import Clock
from gate.common.errors import MagueyError, Step, StoreError
from gate.recovery.check_journal import companion_file, journal_fault
from gate.recovery.rebuild_journal import Salvaged, discard, flush, rebuild
from gate.store.cache import LinkState
from gate.store.file_errors import DamagedError, check_place, file_error_in_words
from gate.store.journal import Journal
from gate.store.shared_files import share

PATIENCE_S = 1.0
"""How long the door's loop waits for its journal before it goes on with everything else."""
ENDS = ("", "-wal", "-shm")


class JournalOpener:
    """Opens one gate's journal, as often as needed. For `gate.common.retried.Retried`.

    :param new_epoch: makes epochs that were never used.
    :param hub: what the hub has, as sync reports it. May be called from any thread.
    :param salvages: False for a command beside the door, which leaves a damaged journal to the door.
    """

    def __init__(  # noqa: PLR0913 – what a journal is made of
        self,
        *,
        path: Path,
        gate_id: str,
        new_epoch: Callable[[], str],
        hub: Callable[[], LinkState],
        clock: Clock,
        salvages: bool = True,
    ) -> None:
        self._path = path
        self._gate_id = gate_id
        self._new_epoch = new_epoch
        self._hub = hub
        self._clock = clock
        self._salvages = salvages
        self._was_open = False
        self._suspicion: str | None = None
        self._believed: set[str] = set()
        self._log = structlog.get_logger()

    def open(self) -> Journal:
        """The journal, salvaged first if it is damaged.

        :raises StoreError: it cannot be opened or salvaged now.
        """
        check_place(self._path)
        with file_error_in_words(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._salvages:
                self._put_in_place()
            why = self._why_not()
            if why is not None:
                self._salvage(why)
            try:
                journal = self._as_it_is()
            except DamagedError as error:
                if why is not None:
                    raise  # it was just made: the mistake is ours
                self._salvage(str(error))
                journal = self._as_it_is()
        self._was_open = True
        return journal

    def _as_it_is(self) -> Journal:
        share(self._path)
        return Journal(self._path, self._gate_id, self._new_epoch())

    def close_journal(self, journal: Journal) -> None:
        """Close a journal. If one of its files was deleted or replaced while it was open, put it back first.

        :raises StoreError: it could not be put back, so it is lost.
        """
        self._suspicion = journal.damage or self._suspicion
        try:
            if not journal.is_in_place():
                self._put_back(journal)
        finally:
            journal.close()

    def _why_not(self) -> str | None:
        """Why the journal cannot be used as it is; None if it can."""
        hub = self._hub()
        if not self._path.exists() or not self._path.stat().st_size:
            has_log = any(_size(companion_file(self._path, end)) for end in ("-wal", "-shm"))
            was_there = self._was_open or has_log or hub.epoch is not None
            return f"{self._path}: was there and is gone." if was_there else None
        return journal_fault(self._path, self._gate_id, hub) or self._found_in_use()

    def _found_in_use(self) -> str | None:
        """Damage found in use but not now. Believed once, or a mistake of ours would repeat for ever."""
        why, self._suspicion = self._suspicion, None
        if why is None or why in self._believed:
            return None
        self._believed.add(why)
        return why

    def _salvage(self, why: str) -> None:
        if not self._salvages:
            raise StoreError(f"{why} The door salvages what can be read: start maguey-gate, then try again.")
        self._log.error("journal damaged, salvaging what can be read", why=why)
        building = self._beside("building")
        found = rebuild(
            self._path,
            building,
            gate_id=self._gate_id,
            new_epoch=self._new_epoch(),
            hub=self._hub(),
            now=self._clock.now().wall,
        )
        self._complete(building)
        aside = self._put_in_place()
        self._report(found, aside)

    def _put_back(self, journal: Journal) -> None:
        self._log.error("journal deleted or replaced in use, putting it back", path=str(self._path))
        building = self._beside("building")
        with file_error_in_words(building):
            discard(building)
            journal.copy_to(building)
            flush(building)
            self._complete(building)

    def _complete(self, building: Path) -> None:
        """From now on the new file is the journal."""
        building.rename(self._beside(f"new-{self._stamp()}"))
        flush(self._path.parent)

    def _put_in_place(self) -> list[Path]:
        """Put a complete new journal in its place, if there is one. Returns the files that were set aside."""
        discard(self._beside("building"))
        waiting = sorted(self._path.parent.glob(f"{self._path.stem}.new-*{self._path.suffix}"))
        if not waiting:
            return []
        new = waiting[-1]
        stamp = new.name.removeprefix(f"{self._path.stem}.new-").removesuffix(self._path.suffix)
        aside = [self._set_aside(end, stamp) for end in ENDS if companion_file(self._path, end).exists()]
        flush(self._path.parent)
        new.rename(self._path)
        flush(self._path.parent)
        return aside

    def _set_aside(self, end: str, stamp: str) -> Path:
        target = companion_file(self._beside(f"damaged-{stamp}"), end)
        number = 1
        while target.exists():  # somebody made another journal meanwhile
            number += 1
            target = companion_file(self._beside(f"damaged-{stamp}-{number}"), end)
        companion_file(self._path, end).rename(target)
        return target

    def _stamp(self) -> str:
        """The time, changed if a file with it in its name exists already."""
        time = f"{self._clock.now().wall:%Y%m%dT%H%M%SZ}"
        stamp, number = time, 1
        while any(companion_file(self._beside(f"damaged-{stamp}"), end).exists() for end in ENDS):
            number += 1
            stamp = f"{time}-{number}"
        return stamp

    def _beside(self, what: str) -> Path:
        return self._path.with_name(f"{self._path.stem}.{what}{self._path.suffix}")

    def _report(self, found: Salvaged, aside: list[Path]) -> None:
        lost = (
            "Some of this gate's own admissions are lost. Until the hub has made up for them, a first entry "
            "of a one-time ticket is admitted from what is known, and flagged history_lost."
        )
        self._log.error(
            "journal salvaged",
            meaning=lost if found.history_lost else "Nothing is missing.",
            advice="The card may be failing: look at dmesg. The damaged files are kept.",
            set_aside=[path.name for path in aside],
            set_aside_bytes=sum(_size(path) for path in aside),
            free_bytes=shutil.disk_usage(self._path.parent).free,
            epoch=found.epoch,
            rows=found.rows,
            known_from_an_index_only=found.remembered,
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class PatientOpener:
    """Opens the journal in a thread of its own, because checking a large one takes seconds.

    Nobody has to wait for that thread at the end: it may be killed at any moment.

    :param patience_s: how long each call of `open` waits.
    """

    def __init__(self, open_it: Callable[[], Journal], patience_s: float = PATIENCE_S) -> None:
        self._open_it = open_it
        self._patience_s = patience_s
        self._thread: threading.Thread | None = None
        self._result: Journal | MagueyError | None = None

    def begin(self) -> threading.Thread:
        """Begin to open it, unless that has begun: a door that starts has other things to do meanwhile."""
        if self._thread is None:
            self._result = None
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()
        return self._thread

    def open(self) -> Journal:
        """The journal, once it is open.

        :raises StoreError: it cannot be opened, or is still being checked.
        """
        thread = self.begin()
        thread.join(self._patience_s)
        if thread.is_alive():
            raise StoreError(
                "The journal is being checked, which takes a while after something went wrong. "
                "Nobody is admitted until then.",
                Step.DISK_CHECK,
            )
        self._thread = None
        if isinstance(self._result, Journal):
            return self._result
        raise self._result or StoreError("The journal could not be opened; see the log.", Step.RESTART)

    def _run(self) -> None:
        try:
            self._result = self._open_it()
        except MagueyError as error:
            self._result = error
        except Exception as error:
            structlog.get_logger().exception("journal could not be opened")
            self._result = StoreError(f"The journal could not be opened: {error}", Step.RESTART)
