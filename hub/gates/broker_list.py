"""The broker's list of gates: what each may publish and subscribe to, in Mosquitto's format. Pure.

Mosquitto's acl_file (2.0.11) does not check SUBSCRIBE: a connected client may add any number of filters, and
every message of every gate is compared with each. The plugin that comes with Mosquitto checks them, but has
no pattern for a gate's own topics. So its file names each gate, and whoever is not in it may do nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from hub.errors import HubError
from sync.wire.topics import GATE_ID, Topics

EVERY_GATE = "every gate"
"""The role of all gates. It has a space, so it is no gate's id."""
_HUBS_NAME = re.compile("maguey-hub", re.IGNORECASE)
"""No gate's id begins like this: the database refuses it (`gates_not_the_hub`)."""
_WAYS = ("subscribe", "unsubscribe", "publishClientSend", "publishClientReceive")


class ListError(HubError):
    """No list can be made of these gates."""


def broker_list_text(venue: str, gate_ids: Iterable[str]) -> str:
    """The file's text: the same for the same gates in any order.

    It denies everything except a gate's own topics (`sync.wire.topics.Topics`), each spelled out: no filter
    is granted by a pattern, and nobody may administer the plugin (``$CONTROL``). No gate receives its own
    messages, or one that sends much and reads nothing would make the broker keep them all.

    :raises ListError: a name would span several levels of a topic, or is reserved for the hub.
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
    wrong += [gate for gate in gates if _HUBS_NAME.match(gate)]
    if wrong:
        raise ListError(
            f"{wrong[0][:80]!r} is no id of a venue or gate: expected 1 to 64 letters, digits, '-', '_' or "
            "'.', and a gate's must not begin with 'maguey-hub'. At the broker it could stand for others. "
            "Nothing was written."
        )


def _client(gate: str) -> dict[str, Any]:
    """Its own role comes first, because the plugin uses the first rule that matches."""
    roles = [{"rolename": gate, "priority": 1}, {"rolename": EVERY_GATE, "priority": 0}]
    return {"username": gate, "roles": roles}


def _common(topics: Topics) -> list[str]:
    """What all gates listen to."""
    one, another = topics.subscriptions("1"), topics.subscriptions("2")
    return [topic for topic in one if topic in another]


def _own(topics: Topics, gate: str) -> dict[str, Any]:
    common = _common(topics)
    heard = [topic for topic in topics.subscriptions(gate) if topic not in common]
    return _role(gate, heard, topics.publications(gate))


def _role(name: str, heard: list[str], said: list[str], chosen: list[str] | None = None) -> dict[str, Any]:
    """`chosen`: filters a gate may use instead of one in `heard`, which covers them."""
    filters = [*heard, *(chosen or [])]
    acls = [_acl(kind, topic) for topic in filters for kind in ("subscribeLiteral", "unsubscribeLiteral")]
    acls += [_acl("publishClientReceive", topic) for topic in heard]
    acls += [_acl("publishClientSend", topic) for topic in said]
    acls += [_acl("publishClientReceive", topic, allow=False) for topic in said]
    return {"rolename": name, "acls": acls}


def _acl(kind: str, topic: str, *, allow: bool = True) -> dict[str, Any]:
    return {"acltype": kind, "topic": topic, "allow": allow}
