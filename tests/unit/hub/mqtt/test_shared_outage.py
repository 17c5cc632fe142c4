"""An outage that several links see is one in the log."""

from __future__ import annotations

from structlog.testing import capture_logs

from hub.mqtt.shared_outage import SharedOutage

LINKS = ("scans", "claims", "status")


def test_three_links_that_lose_one_broker_are_one_outage_in_the_log() -> None:
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


def test_it_is_back_only_when_the_last_link_has_it() -> None:
    outage = SharedOutage("broker")
    outage.began("scans", "gone")
    outage.began("claims", "gone")
    with capture_logs() as logs:
        outage.over("scans")
        outage.over("status")
    assert logs == []


def test_a_link_that_lost_it_and_was_not_asked_yet_keeps_the_outage_on() -> None:
    outage = SharedOutage("broker")
    outage.lost("scans")
    outage.lost("claims")
    with capture_logs() as logs:
        outage.began("scans", "gone")
        outage.over("scans")
        outage.began("claims", "gone")
        outage.over("claims")
    assert len(logs) == 2


def test_what_is_lost_for_a_moment_is_not_logged() -> None:
    outage = SharedOutage("broker")
    with capture_logs() as logs:
        outage.lost("scans")
        outage.over("scans")
    assert logs == []


def test_a_link_that_is_closed_says_nothing_of_the_broker() -> None:
    outage = SharedOutage("broker")
    outage.began("scans", "gone")
    with capture_logs() as logs:
        outage.leave("scans")
    assert logs == []
    with capture_logs() as logs:
        outage.over("claims")
    assert [line["event"] for line in logs] == ["broker recovered"]
