"""The hub's link to the MQTT broker: callbacks only enqueue, and a dead thread is replaced.

paho ends its thread silently when a callback raises. So callbacks decide
nothing, and `tend` checks the thread.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gate.common.errors import ConfigError
from gate.common.outage import SharedOutage
from hub.config import Mqtt
from hub.mqtt.client import BacklogClient
from hub.mqtt.inbox import Delivery, FairInbox
from hub.mqtt.subscriptions import Subscriptions, VenueGates
from sync.wire.messages import PACKET

RECEIVE_MAXIMUM = 1000
"""Unacknowledged messages the broker may have sent: bounds memory while Postgres is away."""
SESSION_SECONDS = 3600
"""How long the broker keeps messages for a hub that is gone (MQTT 5, 3.1.2.11.2)."""
MAXIMUM_PACKET = 1024 * 1024
"""The broker never delivers longer messages (MQTT 5, 3.1.2.11.4); a batch takes about 40 KiB."""
HEADER = 64
"""Upper bound of a packet's bytes besides topic and payload (MQTT 5, 3.3)."""
CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 15
_TOPICS_LOGGED = 100
BROKE_OFF = 0x80
"""Reason code "Unspecified error", which paho gives for a dead connection (MQTT 5, 3.14.2.1)."""

_log = structlog.get_logger()


class HubLink(Protocol):
    """What the hub's parts use of a link to the broker. The one in memory is `tests.simulation.broker`.

    `inbox`: messages, each to be acknowledged. `connects`: as in `BrokerLink`.
    """

    inbox: FairInbox
    connects: int

    @property
    def is_up(self) -> bool:
        """Whether it is connected right now."""

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish at QoS 1. While the broker is away, the message is kept and sent later."""

    def acknowledge(self, *messages: Delivery) -> None:
        """Tell the broker it may forget these messages."""

    def tend(self) -> None:
        """Check the connection. Call about once a second."""


def client_id(venue: str, duty: str = "") -> str:
    """The name of one of the hub's clients. No gate can have it, or it could take the hub's place.

    A gate's client is named after its certificate, and no gate's id has a slash
    (`sync.wire.topics.GATE_ID`).
    """
    return "/".join(filter(None, ("maguey-hub", duty, venue)))


def outage_of(config: Mqtt) -> SharedOutage:
    """One outage of this broker, for all links to it."""
    return SharedOutage(f"MQTT broker {config.host}:{config.port}")


class BrokerLink:
    """A connection that reconnects by itself, and subscribes each time.

    `connects` counts the connections: after each, the broker may have lost what it retained.

    :param subscribe: the topic filters; none for a link that only publishes.
    :param session_s: how long the broker keeps messages while the hub is away.
    :param outage: shared by several links to the same broker, so that its outage is logged once.
    :param venue_gates: the venue's gates, as the database has them.
    :param now: seconds, of a clock that never jumps.
    """

    def __init__(  # noqa: PLR0913 – what a link needs, by name
        self,
        config: Mqtt,
        client_id: str,
        *subscribe: str,
        session_s: int = SESSION_SECONDS,
        outage: SharedOutage | None = None,
        venue_gates: VenueGates | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox = FairInbox()
        self._config = config
        self._client_id = client_id
        self._subscriptions = Subscriptions(subscribe, venue_gates, now)
        self._subscribing = threading.Lock()
        """Held while filters are sent, so that they are sent in order."""
        self._session_s = session_s
        self._connection = 0
        self.connects = 0
        self._has_logged_qos_0 = False
        self._largest = PACKET
        self._oversized: set[str] = set()
        """Topics of which an oversized message was logged."""
        self._reason = "not connected yet"
        self._up = threading.Event()
        self._quiet_since = time.monotonic()
        self._outage = outage or outage_of(config)
        self._client = self._make_client()
        self._thread = self._start()

    @property
    def is_up(self) -> bool:
        """Whether it is connected right now."""
        return self._up.is_set()

    def wait_until_up(self, seconds: float) -> bool:
        """Wait for the connection, at most so many seconds; False if there is none."""
        return self._up.wait(seconds)

    def publish(self, topic: str, payload: bytes, retain: bool = False, expires_s: int | None = None) -> None:
        """Publish at QoS 1. While the broker is away, the message is kept and sent later.

        A message larger than the broker accepts is dropped: it would end the connection, be sent again on the
        next, and so block everything behind it (MQTT 5, 3.1.2.11.4).

        :param expires_s: the broker delivers it to nobody after so many seconds (MQTT 5, 3.3.2.3.3).
        """
        if HEADER + len(topic) + len(payload) > self._largest:
            self._log_oversized(topic, len(payload))
            return
        properties = None
        if expires_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expires_s
        self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)

    def acknowledge(self, *messages: Delivery) -> None:
        """Tell the broker it may forget these messages.

        A message of an earlier connection is not acknowledged: its number may mean another message by now,
        and the broker sends it again anyway.
        """
        self._client.ack_all(message.mid for message in messages if message.connection == self._connection)

    def tend(self) -> None:
        """Log outages, and replace the thread if it died. Call about once a second."""
        if self._up.is_set():
            self._subscribe()
            self._quiet_since = time.monotonic()
            self._outage.over(self._client_id)
        elif time.monotonic() - self._quiet_since > 1.0:
            self._outage.began(self._client_id, self._reason)
        if not self._thread.is_alive():
            _log.error("mqtt thread died")
            self._lost("its thread died")
            self._client = self._make_client()
            self._thread = self._start()

    def close(self) -> None:
        """Disconnect; the broker keeps the session for `session_s`."""
        self._client.disconnect()
        self._thread.join(timeout=1.0)
        self._outage.leave(self._client_id)

    def _start(self) -> threading.Thread:
        self._client.loop_start()
        thread = self._client._thread
        assert thread is not None  # loop_start has made it
        return thread

    def _make_client(self) -> BacklogClient:
        client = BacklogClient(
            CallbackAPIVersion.VERSION2, self._client_id, protocol=paho.MQTTv5, manual_ack=True
        )
        client.max_queued_messages_set(0)
        client.max_inflight_messages_set(100)
        client.reconnect_delay_set(1, 2)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_connect_fail = self._on_message, self._on_connect_fail
        client.on_socket_open = _at_once
        self._identify(client)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.SessionExpiryInterval = self._session_s
        properties.MaximumPacketSize = MAXIMUM_PACKET
        client.connect_timeout = CONNECT_SECONDS
        client.connect_async(
            self._config.host, self._config.port, _KEEPALIVE_SECONDS, clean_start=False, properties=properties
        )
        return client

    def _identify(self, client: paho.Client) -> None:
        config = self._config
        if config.username is not None:
            client.username_pw_set(config.username, config.password())
        if config.ca_file is not None:
            try:
                client.tls_set(config.ca_file, config.cert_file, config.key_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"mqtt: the TLS files cannot be used: {error}.") from None

    def _on_connect(self, _client: paho.Client, _data: Any, flags: Any, code: ReasonCode, props: Any) -> None:
        if code.is_failure:
            self._reason = str(code)
            return
        self._connection += 1
        self._limit_size(getattr(props, "MaximumPacketSize", None) or PACKET)
        # also if the session was kept: Mosquitto 2.0.11 forgets sessions at a restart
        self._subscriptions.connected(has_session=flags.session_present)
        self._subscribe()
        self.connects += 1
        self._up.set()

    def _subscribe(self) -> None:
        """Subscribe before unsubscribing, so that no message is missed."""
        with self._subscribing:
            change = self._subscriptions.next_change()
            if change.subscribe:
                self._client.subscribe([(topic, 1) for topic in change.subscribe])
            if change.unsubscribe:
                self._client.unsubscribe(list(change.unsubscribe))
            self.inbox.cut_off = self._subscriptions.cut_off()

    def _limit_size(self, broker_accepts: int) -> None:
        """Called before anything is sent on a connection: waiting messages were measured by the old limit."""
        if broker_accepts < PACKET and broker_accepts != self._largest:
            _log.error(
                "message size limited by broker",
                accepts=broker_accepts,
                needed=PACKET,
                advice="Larger messages are not sent, and gates may need them. Raise the broker's "
                "max_packet_size to 256 KiB, as in config/mosquitto.",
            )
        self._largest = min(broker_accepts, PACKET)
        for topic, size in self._client.drop_larger(self._largest - HEADER):
            self._log_oversized(topic, size)

    def _log_oversized(self, topic: str, size: int) -> None:
        """Once for each topic, for the first `_TOPICS_LOGGED` topics."""
        if topic not in self._oversized and len(self._oversized) < _TOPICS_LOGGED:
            self._oversized.add(topic)
            _log.error("oversized message dropped", topic=topic[:200], bytes=size, accepts=self._largest)

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, _props: Any
    ) -> None:
        self._lost("the connection broke" if code.value == BROKE_OFF else str(code))

    def _lost(self, reason: str) -> None:
        self._up.clear()
        self._outage.lost(self._client_id)
        self._connection += 1
        self._reason = reason

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._reason = "connection refused or timed out"

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if self._subscriptions.count(message.topic, len(message.payload), message.qos):
            self._subscribe()
        if message.qos == 0:
            # it has no number: the broker disconnects a client that acknowledges it
            if not self._has_logged_qos_0:
                _log.warning("message at QoS 0 dropped; gates send at QoS 1", topic=message.topic[:200])
            self._has_logged_qos_0 = True
            return
        at_us = time.time_ns() // 1000
        payload = bytes(message.payload)
        arrived = Delivery(message.topic, payload, message.mid, self._connection, message.retain, at_us)
        if self._subscriptions.is_cut_off(message.topic) or not self.inbox.put(arrived):
            # the sender has too much waiting: it sends this again later, and delays nobody else meanwhile
            self.acknowledge(arrived)


def _at_once(_client: paho.Client, _data: Any, sock: Any) -> None:
    """Send small messages at once: delayed (RFC 896, RFC 1122 4.2.3.2), a grant would wait 40 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
