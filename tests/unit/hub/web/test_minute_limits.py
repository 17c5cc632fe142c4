"""A limit of requests per minute and address, in bounded memory."""

from __future__ import annotations

import ipaddress
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web.minute_limits import MINUTE_S, MinuteLimits, network_of

WHO = st.sampled_from(["a", "b", "c"])


@given(asked=st.lists(st.tuples(WHO, st.floats(0, 20)), max_size=200), per_minute=st.integers(1, 5))
def test_no_minute_counted_from_its_first_request_exceeds_the_limit(
    asked: list[tuple[str, float]], per_minute: int
) -> None:
    rates, now = MinuteLimits(per_minute), 0.0
    taken: dict[str, list[float]] = defaultdict(list)
    for who, later in asked:
        now += later
        wait = rates.take(who, now)
        if not wait:
            taken[who].append(now)
        else:
            assert 0 < wait <= MINUTE_S
            assert not MinuteLimits(per_minute).take(who, now)
            began = taken[who][-per_minute]
            assert now < began + MINUTE_S
            assert wait == pytest.approx(began + MINUTE_S - now)
    for times in taken.values():
        minutes: list[list[float]] = []
        for time in times:
            if not minutes or time - minutes[-1][0] >= MINUTE_S:
                minutes.append([])
            minutes[-1].append(time)
        assert all(len(minute) <= per_minute for minute in minutes)


def test_after_the_given_wait_a_request_is_allowed_again() -> None:
    rates = MinuteLimits(2)
    assert [rates.take("a", 1.0), rates.take("a", 9.0)] == [0.0, 0.0]
    wait = rates.take("a", 10.0)
    assert wait == 51.0
    assert rates.take("b", 10.0) == 0.0
    assert rates.take("a", 10.0 + wait) == 0.0


def test_a_request_given_back_does_not_count() -> None:
    rates = MinuteLimits(1)
    for _ in range(50):
        assert rates.take("a", 0.0) == 0.0
        rates.give_back("a")
    rates.give_back("a")
    assert len(rates) == 0
    assert rates.take("a", 0.0) == 0.0
    assert rates.take("a", 0.0) == MINUTE_S


def test_any_number_of_addresses_takes_bounded_memory() -> None:
    rates = MinuteLimits(1, most=100)
    for number in range(10_000):
        assert rates.take(str(number), 0.0) == 0.0
        assert len(rates) <= 100
    assert rates.take("9999", 0.0) > 0  # the newest are remembered


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_an_ipv6_address_stands_for_its_network(
    one: ipaddress.IPv6Address, other: ipaddress.IPv6Address
) -> None:
    if one.ipv4_mapped is None and other.ipv4_mapped is None:
        assert (network_of(str(one)) == network_of(str(other))) == (int(one) >> 64 == int(other) >> 64)


@pytest.mark.parametrize(
    ("address", "home"),
    [
        ("192.168.7.5", "192.168.7.5"),
        ("::ffff:192.168.7.5", "192.168.7.5"),
        ("fe80::1%eth0", "fe80::/64"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", ""),
        ("x" * 9000, "x" * 64),
    ],
)
def test_each_address_is_counted_under_its_network(address: str, home: str) -> None:
    assert network_of(address) == home
