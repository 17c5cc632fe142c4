"""The broker's list: of any gates the database allows, each may do what the protocol says and no more."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.gates.broker_list import ListError, broker_list_text
from sync.wire.topics import Topics

NIGHT = "11111111-1111-1111-1111-111111111111"
LEAVES = ("scans", "status", "claims", "replies", "ack", "grants", "commands")
names = st.from_regex(r"\A[A-Za-z0-9_.-]{1,64}\Z").filter(
    lambda name: not name.lower().startswith("maguey-hub")
)
"""Valid gate ids (`gates_gate_id_topic`, `gates_not_the_hub`)."""
venues = st.from_regex(r"\A[A-Za-z0-9_.-]{1,64}\Z")


class Plugin:
    """Reads the file as Mosquitto's plugin does (2.0.11, plugins/dynamic-security/acl.c)."""

    def __init__(self, text: str) -> None:
        made = json.loads(text)
        assert not any(made["defaultACLAccess"].values())
        assert len(made["defaultACLAccess"]) == 4
        self._roles = {role["rolename"]: role["acls"] for role in made["roles"]}
        self._clients = {one["username"]: one["roles"] for one in made["clients"]}

    def _acls(self, name: str) -> list[dict[str, Any]]:
        roles = sorted(self._clients.get(name, []), key=lambda role: -role["priority"])
        return list(itertools.chain.from_iterable(self._roles[role["rolename"]] for role in roles))

    def may(self, name: str, way: str, topic: str) -> bool:
        """Whether a client may publish or receive: the first matching rule decides."""
        return next(
            (
                acl["allow"]
                for acl in self._acls(name)
                if acl["acltype"] == way and mqtt.topic_matches_sub(acl["topic"], topic)
            ),
            False,
        )

    def may_ask_for(self, name: str, wanted: str) -> bool:
        return any(
            acl["acltype"] == "subscribeLiteral" and acl["topic"] == wanted for acl in self._acls(name)
        )

    def may_give_up(self, name: str, wanted: str) -> bool:
        return any(
            acl["acltype"] == "unsubscribeLiteral" and acl["topic"] == wanted for acl in self._acls(name)
        )

    def kinds(self) -> set[str]:
        return {acl["acltype"] for acls in self._roles.values() for acl in acls}


def topics_of(venue: str, gates: Sequence[str]) -> list[str]:
    topics = Topics(venue=venue)
    of_gates = [getattr(topics, leaf)(gate) for leaf in LEAVES for gate in gates]
    return [*of_gates, topics.head(NIGHT), topics.deltas(NIGHT), topics.alerts()]


@given(venue=venues, other=venues, gates=st.lists(names, min_size=1, max_size=4, unique=True), stranger=names)
def test_each_gate_may_use_its_own_and_the_common_topics_and_no_others(
    venue: str, other: str, gates: list[str], stranger: str
) -> None:
    plugin, topics = Plugin(broker_list_text(venue, gates)), Topics(venue=venue)
    assert plugin.kinds() == {
        "subscribeLiteral",
        "unsubscribeLiteral",
        "publishClientSend",
        "publishClientReceive",
    }
    everybody = [*gates, stranger]
    where = {*topics_of(venue, everybody), *topics_of(other, everybody), "$SYS/broker/uptime", "$CONTROL/a"}
    common = {getattr(topics, leaf)(one) for leaf in ("scans", "status") for one in everybody}
    common |= {topics.head(NIGHT), topics.deltas(NIGHT), topics.alerts()}
    for one in everybody:
        said, heard = set[str](), set[str]()
        if one in gates:
            said = set(topics.publications(one))
            heard = common | {topics.ack(one), topics.grants(one), topics.commands(one)}
            heard -= said  # no gate receives its own messages
        assert {topic for topic in where if plugin.may(one, "publishClientSend", topic)} == said
        assert {topic for topic in where if plugin.may(one, "publishClientReceive", topic)} == heard
        wanted = {*where, *itertools.chain.from_iterable(map(topics.subscriptions, everybody)), "#", "+/#"}
        wanted |= {f"$share/x/{one}" for one in topics.subscriptions(one)}
        granted = {one_filter for one_filter in wanted if plugin.may_ask_for(one, one_filter)}
        allowed = {*topics.subscriptions(one), *topics.peer_subscriptions(gates)}
        assert granted == (allowed if one in gates else set())
        assert granted == {one_filter for one_filter in wanted if plugin.may_give_up(one, one_filter)}


@given(gates=st.lists(names, max_size=5), shuffled=st.randoms(use_true_random=False))
def test_the_same_gates_in_any_order_give_the_same_text(gates: list[str], shuffled: Any) -> None:
    again = [*gates, *gates]
    shuffled.shuffle(again)
    assert broker_list_text("maguey", again) == broker_list_text("maguey", gates)


def test_another_gate_adds_lines_and_changes_none() -> None:
    before, after = (
        broker_list_text("maguey", gates).splitlines() for gates in (["a", "c"], ["a", "b", "c"])
    )
    left = iter(after)
    assert all(line in left for line in before)


@given(
    where=st.integers(0, 64),
    name=st.text("ab", max_size=63),
    wrong=st.sampled_from(["+", "#", "/", "$", "%u", " ", "\0", "\n", "ñ", "\ud800", '"', "\\"]),
)
def test_a_name_with_a_wildcard_or_another_special_character_is_refused(
    where: int, name: str, wrong: str
) -> None:
    bad = name[:where] + wrong + name[where:]
    with pytest.raises(ListError, match="Nothing was written"):
        broker_list_text("maguey", ["gate-1", bad])
    with pytest.raises(ListError, match="Nothing was written"):
        broker_list_text(bad, ["gate-1"])


@pytest.mark.parametrize("name", ["", "x" * 65, "maguey-hub", "Maguey-Hub-2", "+", "gates/+", "gate-1\n"])
def test_an_invalid_id_and_the_hubs_own_are_refused(name: str) -> None:
    with pytest.raises(ListError):
        broker_list_text("maguey", [name])
