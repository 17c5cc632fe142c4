"""An outage that several threads notice is logged once."""

from __future__ import annotations

from structlog.testing import capture_logs

from gate.common.outage import SharedOutage

LINKS = ("scans", "claims", "status")


def test_three_links_that_lose_one_broker_log_one_outage() -> None:
    outage = SharedOutage("broker")
    with capture_logs() as logs:
        for _ in range(2):
            for link in LINKS:
                outage.began(link, "gone")
        for link in LINKS:
            outage.over(link)
            outage.over(link)
    assert [line["event"] for line in logs] == [
        "broker failed",
        "broker recovered",
    ]


def test_the_broker_has_recovered_only_when_every_link_has_it_back() -> None:
    outage = SharedOutage("broker")
    outage.began("scans", "gone")
    outage.began("claims", "gone")
    with capture_logs() as logs:
        outage.over("scans")
        outage.over("status")
    assert logs == []


def test_a_link_that_has_not_retried_yet_keeps_the_outage_open() -> None:
    outage = SharedOutage("broker")
    outage.lost("scans")
    outage.lost("claims")
    with capture_logs() as logs:
        outage.began("scans", "gone")
        outage.over("scans")
        outage.began("claims", "gone")
        outage.over("claims")
    assert len(logs) == 2


def test_a_broker_lost_for_a_moment_is_not_logged() -> None:
    outage = SharedOutage("broker")
    with capture_logs() as logs:
        outage.lost("scans")
        outage.over("scans")
    assert logs == []


def test_closing_a_link_is_no_recovery_of_the_broker() -> None:
    outage = SharedOutage("broker")
    outage.began("scans", "gone")
    with capture_logs() as logs:
        outage.leave("scans")
    assert logs == []
    with capture_logs() as logs:
        outage.over("claims")
    assert [line["event"] for line in logs] == ["broker recovered"]
