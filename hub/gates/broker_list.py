"""The broker's list of the gates: what each may say and ask to hear, as Mosquitto reads it. Pure.

Mosquitto's own acl_file judges no SUBSCRIBE (2.0.11): whoever is let in may have it keep any number of
filters, and each is looked through for every message of every gate. The plugin that comes with Mosquitto
judges them too, and has no pattern for "the gate's own": so each gate stands in its file by name, and whoever
does not may do nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from hub.errors import HubError
from sync.wire.topics import GATE_ID, Topics

EVERY_GATE = "every gate"
"""The role that all have. No gate's id: it has a space."""
_THE_HUBS = re.compile("maguey-hub", re.IGNORECASE)
"""How no gate's id begins; so says the database (`gates_not_the_hub`)."""
_WAYS = ("subscribe", "unsubscribe", "publishClientSend", "publishClientReceive")


class ListError(HubError):
    """There is no list of these gates."""


def broker_list_text(venue: str, gate_ids: Iterable[str]) -> str:
    """The file's text: the same for the same gates, in whatever order.

    Everything is denied but what a gate says and listens to (`sync.wire.topics.Topics`), letter by letter:
    no filter is granted by a pattern, and nobody administers the plugin (``$CONTROL``). Nobody hears itself:
    who sends much and reads nothing would have the broker keep it all.

    :raises ListError: a name would be more than one level of a topic, or is kept for the hub.
    """
    gates = sorted(set(gate_ids))
    _check(venue, gates)
    topics = Topics(venue=venue)
    made = {
        "defaultACLAccess": dict.fromkeys(_WAYS, False),
        "clients": [_client(gate) for gate in gates],
        "roles": [
            _role(EVERY_GATE, _common(topics), [], topics.peer_subscriptions(gates)),
            *(_own(topics, gate) for gate in gates),
        ],
    }
    return json.dumps(made, indent=1) + "\n"


def _check(venue: str, gates: list[str]) -> None:
    wrong = [name for name in (venue, *gates) if not GATE_ID.fullmatch(name)]
    wrong += [gate for gate in gates if _THE_HUBS.match(gate)]
    if wrong:
        raise ListError(
            f"{wrong[0][:80]!r} is no id of a venue or gate: expected 1 to 64 letters, digits, '-', '_' or "
            "'.', and of a gate not what begins with 'maguey-hub'. At the broker it could stand for others. "
            "Nothing was written."
        )


def _client(gate: str) -> dict[str, Any]:
    """What is its own comes first: the plugin goes by the first that applies."""
    roles = [{"rolename": gate, "priority": 1}, {"rolename": EVERY_GATE, "priority": 0}]
    return {"username": gate, "roles": roles}


def _common(topics: Topics) -> list[str]:
    """What all gates listen to alike."""
    one, another = topics.subscriptions("1"), topics.subscriptions("2")
    return [topic for topic in one if topic in another]


def _own(topics: Topics, gate: str) -> dict[str, Any]:
    common = _common(topics)
    heard = [topic for topic in topics.subscriptions(gate) if topic not in common]
    return _role(gate, heard, topics.publications(gate))


def _role(name: str, heard: list[str], said: list[str], chosen: list[str] | None = None) -> dict[str, Any]:
    """`chosen`: what may be listened to in the place of something that is heard; it falls under that."""
    filters = [*heard, *(chosen or [])]
    acls = [_acl(kind, topic) for topic in filters for kind in ("subscribeLiteral", "unsubscribeLiteral")]
    acls += [_acl("publishClientReceive", topic) for topic in heard]
    acls += [_acl("publishClientSend", topic) for topic in said]
    acls += [_acl("publishClientReceive", topic, allow=False) for topic in said]
    return {"rolename": name, "acls": acls}


def _acl(kind: str, topic: str, *, allow: bool = True) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow}
