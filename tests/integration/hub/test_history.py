"""What happened, by command: scans and changes, the newest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.config import HubConfig
from tests.integration.hub.commands import Hub
from tests.integration.hub.world import World


@pytest.fixture
def hub(config_file: Path) -> Hub:
    return Hub(config_file)


@pytest.fixture
def evening(world: World, config: HubConfig) -> World:
    """At gate-1 Ana 3 h ago, again 2 h ago; at gate-2 a stranger 1 h ago; another venue's gate."""
    event = world.event()
    for gate, venue in (("gate-1", config.venue), ("gate-2", config.venue), ("elsewhere", "another")):
        world.gate(gate, gate, event, venue=venue)
    ana = world.ticket(event, "[b]Ana[/b]")
    for gate, hours, verdict, reason, subject in (
        ("gate-1", 3, "admit", "first_entry", ana),
        ("gate-1", 2, "deny", "already_used", ana),
        ("gate-2", 1, "deny", "unknown", None),
        ("elsewhere", 0, "deny", "unknown", None),
    ):
        world.run(
            "INSERT INTO scan_logs (scan_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms,"
            " verdict, reason, rule, kind, clock, event_id, subject_id, code_hash, scan_method, released,"
            " record, payload_hash) SELECT gen_random_uuid(), %s, 'e', 10 - %s, 'b',"
            " now() - make_interval(hours => %s), 1, %s, %s, 11, 'ga', 'synced', %s, %s, repeat('ab', 32),"
            " 'camera', true, 'scan', ''",
            gate,
            hours,
            hours,
            verdict,
            reason,
            event if subject else None,
            subject,
        )
    return world


def test_scans_are_listed_newest_first_and_only_those_of_the_venue(hub: Hub, evening: World) -> None:
    found = hub.json("scans")
    assert [(scan["gate_id"], scan["reason"], scan["holder"]) for scan in found] == [
        ("gate-2", "unknown", ""),
        ("gate-1", "already_used", "[b]Ana[/b]"),
        ("gate-1", "first_entry", "[b]Ana[/b]"),
    ]
    printed = hub("scans", "--limit", 2)
    assert "[b]Ana[/b]" in printed
    assert "first_entry" not in printed
    assert "ab" * 6 in printed
    assert "ab" * 7 not in printed


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (("--gate", "gate-2"), ["unknown"]),
        (("--event", "PF"), ["already_used", "first_entry"]),
        (("--reason", "already_used"), ["already_used"]),
        (("--verdict", "admit"), ["first_entry"]),
        (("--since", "150m"), ["unknown", "already_used"]),
        (("--since", "2h", "--gate", "gate-1"), []),
    ],
)
def test_scans_are_filtered(hub: Hub, evening: World, options: tuple[str, ...], reasons: list[str]) -> None:
    assert [scan["reason"] for scan in hub.json("scans", *options)] == reasons


@pytest.mark.parametrize(
    "options",
    [
        ("--gate", "gate-9"),
        ("--gate", "elsewhere"),
        ("--event", "XX"),
        ("--reason", "because"),
        ("--verdict", "maybe"),
        ("--since", "yesterday"),
    ],
)
def test_a_filter_that_means_nothing_is_a_wrong_call(
    hub: Hub, evening: World, options: tuple[str, ...]
) -> None:
    assert options[1] in hub.refused("scans", *options)


def test_changes_are_listed_by_who_and_what(hub: Hub) -> None:
    for gate, actor in (("gate-1", "Eva"), ("gate-2", "Ana")):
        hub("gate", "add", gate, "--actor", actor)
    assert [change["actor"] for change in hub.json("audit")] == ["Ana", "Eva"]
    assert [change["target"] for change in hub.json("audit", "--actor", "eva", "--since", "1h")] == ["gate-1"]
    assert "gate-1" not in hub("audit", "--target", "gate-2")
    assert hub("audit", "--actor", "Nobody") == "nothing is recorded like this\n"
