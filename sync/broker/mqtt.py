"""One connection to the broker: MQTT 5 over paho.

An exception in a paho callback kills its thread silently, so callbacks only enqueue; the service takes events
off the queue. A connection is used once: when it is lost the `MqttLink` is closed and a new one made, so
nothing half-sent is carried over. What was lost with it is sent again from the journal.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from gate.common.errors import MagueyError
from gate.common.value import Value
from sync.broker.tls import context
from sync.wire.cutoff import filter_change
from sync.wire.messages import LARGEST, PACKET
from sync.wire.without_properties import PlainClient

KEEPALIVE_S = 10
"""Time between pings; a dead connection is noticed within 1.5 times that."""
CONNECT_TIMEOUT_S = 5.0
IN_FLIGHT = 100
"""Messages paho has on the way at once; 20 to 100 publishes fastest (quality 7.3)."""
HEADER = 64
"""More than a packet takes beside topic and payload (MQTT 5, 3.3)."""
BROKE_OFF = 0x80
"""Reason code "Unspecified error", which paho gives for a connection that died (MQTT 5, 3.14.2.1)."""
NOT_AUTHORIZED = 0x87
"""Reason code "Not authorized" (MQTT 5, 3.9.3)."""
TAKEN_OVER = 0x8E
"""Reason code "Session taken over" (MQTT 5, 3.14.2.1)."""

UNLISTED = "this gate is not in the broker's list."
RENEW_LIST = "At the hub run maguey-hub broker-list, and restart Mosquitto"
"""What to do when the broker's list lacks what this gate needs."""


class LinkError(MagueyError):
    """The broker cannot be reached or refuses this gate."""


class BrokerAddress(Value, frozen=True):
    """Where the broker is. `ca_file` turns TLS on; with `cert_file` the gate identifies itself."""

    host: str
    port: int
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return bool(self.ca_file or self.cert_file)


class Connected(msgspec.Struct, frozen=True):
    """The broker accepted the connection and every subscription."""


class Disconnected(msgspec.Struct, frozen=True):
    """The connection is gone or was never made; `why` in the library's words.

    `taken_over`: the broker ended it because another client connected with the same id. `unlisted`: it
    accepts this gate and refuses every subscription.
    """

    why: str
    taken_over: bool = False
    unlisted: bool = False


class Message(msgspec.Struct, frozen=True):
    """A message arrived. `retained`: the broker had kept it from before this connection."""

    topic: str
    payload: bytes
    retained: bool = False


LinkEvent = Connected | Disconnected | Message


class _Client(PlainClient):
    """Counts the turns of paho's loop, each of which ends with `loop_misc`."""

    turns = 0
    refused = 0
    """Length of a packet that was larger than any message; 0: there was none."""

    def _sock_recv(self, bufsize: int) -> bytes:
        """As paho's, which reads the rest of a packet at once, 256 MiB if the broker says so."""
        if bufsize > LARGEST:
            self.refused = bufsize
            raise ConnectionError(f"a packet of {bufsize} bytes")
        return super()._sock_recv(bufsize)

    def loop_misc(self) -> MQTTErrorCode:
        self.turns += 1
        return super().loop_misc()


class MqttLink:
    """A connection attempt and, if it succeeds, the connection.

    :param put: called with this link and each of its events, in paho's thread; must only enqueue.
    :param will: topic and payload the broker publishes, retained, when this gate vanishes.
    :param topics: filters to subscribe to; this gate's own messages do not come back.
    :param choice: a filter that the broker grants only if `listen` may subscribe by gate.
    """

    def __init__(  # noqa: PLR0913 – what a connection is made with
        self,
        broker: BrokerAddress,
        client_id: str,
        put: Callable[[MqttLink, LinkEvent], None],
        will: tuple[str, bytes],
        topics: Sequence[str],
        *,
        choice: str = "",
    ) -> None:
        self._put = put
        self._topics = tuple(topics)
        """The current subscriptions."""
        self._choice = choice
        self._may_choose = bool(choice)
        self._is_answered = False
        self._largest = PACKET
        self._is_logged = False
        """Whether it was logged that a message is larger than the broker accepts."""
        self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_socket_open = _at_once
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.will_set(will[0], will[1], qos=1, retain=True)
        if broker.is_tls:
            self._client.tls_set_context(tls(broker, datetime.now(UTC)))
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wishes.MaximumPacketSize = LARGEST
        self._client.connect_async(
            broker.host, broker.port, keepalive=KEEPALIVE_S, clean_start=True, properties=wishes
        )
        self._client.loop_start()

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expires_s: int | None = None
    ) -> bool:
        """Publish a message. False if the connection is gone; the caller sends it again later.

        A message larger than the broker accepts would end this connection (MQTT 5, 3.2.2.3.6), and the next
        one too: it is dropped, as sending it again would change nothing.

        :param expires_s: the broker drops it after so many seconds (MQTT 5, 3.3.2.3.3).
        """
        if HEADER + len(topic) + len(payload) > self._largest:
            self._log_too_large(topic, len(payload))
            return True
        properties = None
        if expires_s is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expires_s
        sent = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        return sent.rc == mqtt.MQTT_ERR_SUCCESS

    def _log_too_large(self, topic: str, size: int) -> None:
        """Once per connection."""
        if not self._is_logged:
            structlog.get_logger().error(
                "oversized message dropped",
                topic=topic,
                bytes=size,
                accepts=self._largest,
                advice="Raise the broker's max_packet_size to 256 KiB, as in config/mosquitto.",
            )
        self._is_logged = True

    def listen(self, topics: Sequence[str]) -> None:
        """Replace the subscriptions of a connected link; no message is missed meanwhile.

        Does not wait for the broker's answer: it comes after everything the broker still has of the gate that
        is cut off. Where the broker grants no filters by gate, nothing changes.
        """
        wanted = tuple(topics)
        if wanted == self._topics or not self._may_choose:
            return
        change = filter_change(self._topics, wanted)
        self._topics = wanted
        if change.subscribe:
            self._subscribe(change.subscribe)
        if change.unsubscribe:
            self._client.unsubscribe(list(change.unsubscribe))

    def is_alive(self) -> bool:
        """Whether paho's thread still runs; a dead one never reports anything."""
        thread = self._client._thread
        return thread is not None and thread.is_alive()

    def is_open(self) -> bool:
        """Whether there is a TCP connection, whatever has been said on it."""
        return self._client.socket() is not None

    def beats(self) -> int:
        """How often the connection's own loop has turned, about once a second; for the watchdog."""
        return self._client.turns

    def close(self, farewell: tuple[str, bytes] | None = None) -> None:
        """Send `farewell`, if there is one, and end the connection."""
        if farewell is not None:
            with contextlib.suppress(ValueError, RuntimeError):  # not connected: nothing to wait for
                sent = self._client.publish(farewell[0], farewell[1], qos=1, retain=True)
                sent.wait_for_publish(timeout=1.0)
        was_connected = self._client.is_connected()
        self._client.disconnect()
        # loop_stop joins paho's thread, which may take a whole time-out on a dead connection; if it never
        # connected it sleeps for another second, for which nobody should wait
        stopper = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopper.start()
        if was_connected:
            stopper.join(timeout=1.0)

    def _on_connect(self, _client: mqtt.Client, _userdata: Any, _flags: Any, code: Any, props: Any) -> None:
        if code.is_failure:
            self._put(self, Disconnected(f"refused: {code}"))
            return
        self._largest = min(getattr(props, "MaximumPacketSize", None) or PACKET, PACKET)
        if not self._topics:
            self._put(self, Connected())
            return
        self._subscribe([*self._topics, *filter(None, [self._choice])])

    def _subscribe(self, topics: Sequence[str]) -> None:
        options = SubscribeOptions(qos=1, noLocal=True)
        self._client.subscribe([(topic, options) for topic in topics])

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, codes: Any, _props: Any) -> None:
        """The subscriptions are answered: from now on this gate misses nothing."""
        if self._is_answered:
            return  # to `listen`: a gate that the broker's list does not name yet is not heard meanwhile
        self._is_answered = True
        if self._choice:
            *codes, choice = codes
            self._may_choose = not choice.is_failure
        if any(code.is_failure for code in codes):
            self._put(self, self._refused(codes))
        else:
            self._put(self, Connected())

    def _refused(self, codes: Sequence[Any]) -> Disconnected:
        if all(code.value == NOT_AUTHORIZED for code in codes):
            return Disconnected(
                f"the broker refuses every subscription: {UNLISTED} {RENEW_LIST}", unlisted=True
            )
        refused = [
            f"{topic}: {code}" for topic, code in zip(self._topics, codes, strict=False) if code.is_failure
        ]
        return Disconnected(f"may not subscribe to {', '.join(refused)}. {RENEW_LIST}")

    def _on_connect_fail(self, _client: mqtt.Client, _userdata: Any) -> None:
        self._put(self, Disconnected("no connection"))

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, code: Any, _props: Any) -> None:
        why = "the connection broke off" if code.value == BROKE_OFF else str(code)
        if self._client.refused:
            why = f"the broker sent a packet of {self._client.refused} bytes, more than any message takes"
        self._put(self, Disconnected(why, taken_over=code.value == TAKEN_OVER))

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        self._put(self, Message(message.topic, bytes(message.payload), message.retain))


def tls(broker: BrokerAddress, now: datetime) -> ssl.SSLContext:
    """How the gate verifies the broker and identifies itself (`sync.broker.tls`). Raises `LinkError`."""
    try:
        return context(broker.ca_file, now, broker.cert_file, broker.key_file)
    except (OSError, ssl.SSLError) as error:
        raise LinkError(
            f"the broker's TLS files cannot be used: {error}. Check hub.ca_file, cert_file and key_file."
        ) from None


def _at_once(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    """Send small messages at once (RFC 896, RFC 1122 4.2.3.2): otherwise a claim waits 40 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
