"""Nights, one after the other, on one database."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from tests.simulation.agenda import START, Agenda
from tests.simulation.checks import broken_rules
from tests.simulation.database import Session, Trouble, open_session
from tests.simulation.night import Night, cards
from tests.simulation.plan import plan_of


@dataclass(frozen=True)
class Told:
    """How a night went: the rules it broke, and what happened."""

    seed: int
    broken: tuple[str, ...]
    trace: tuple[str, ...]

    def in_words(self) -> str:
        """For a failing test."""
        lines = "\n  ".join(self.broken)
        again = f"python -m tests.simulation --seed {self.seed} --verbose"
        return f"seed {self.seed} broke:\n  {lines}\nto see it again: {again}"


def _played(night: Night, session: Session) -> list[str]:
    try:
        night.play()
        return night.broken + broken_rules(night, session)
    except Exception:
        return [*night.broken, f"broke down: {traceback.format_exc()}"]


class Play(Protocol):
    """Plays the night of a seed. `echo` hears of everything as it happens."""

    def __call__(self, seed: int, echo: Callable[[str], None] | None = None) -> Told:
        """Play the whole night."""


@contextlib.contextmanager
def simulator() -> Iterator[Play]:
    """A player of nights, with a database of its own while the block runs."""
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    before = structlog.get_config()
    structlog.configure(wrapper_class=silent, cache_logger_on_first_use=False)
    try:
        with open_session(lambda: START, Trouble()) as session:

            def play(seed: int, echo: Callable[[str], None] | None = None) -> Told:
                agenda = Agenda(echo=echo)
                with cards() as folder:
                    night = Night(plan_of(seed), session, folder, agenda)
                    broken = _played(night, session)
                    for gate in night.gates.values():
                        gate.close()
                return Told(seed, tuple(broken), tuple(agenda.trace))

            yield play
    finally:
        structlog.configure(**before)
