"""Long stateful tests, cut into short parts."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def play(machine: type[RuleBasedStateMachine], part: int, *, examples: int, steps: int) -> None:
    """One part of a machine's cases: so many runs, each of up to so many steps.

    Each part draws its own cases, and replays those of its own that failed. Nothing is shrunk: for a machine
    that writes files, that takes far longer than all its cases. To get the shortest run that fails, add
    `Phase.shrink`.
    """
    run_state_machine_as_test(
        type(f"{machine.__name__}{part}", (machine,), {}),  # failed examples are stored under this name
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )
