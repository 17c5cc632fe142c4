"""`maguey-sync doctor`: tests hub and broker as this gate, up to the hub's acknowledgement of a scan."""

from __future__ import annotations

import queue
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from gate.clock import Clock
from gate.common.check_up import examine
from gate.common.errors import StoreError
from gate.common.findings import Finding, fault, fine, warning
from gate.config import GateFile
from gate.rules.model import ScanRecord
from gate.store.cache import CacheReader, LinkState
from sync.broker.mqtt import (
    RENEW_LIST,
    UNLISTED,
    BrokerAddress,
    Connected,
    Disconnected,
    LinkError,
    LinkEvent,
    Message,
    MqttLink,
    tls,
)
from sync.feed.snapshot import FetchError, HubClient, HubUnreachable
from sync.upload.outbox import Outbox
from sync.wire.messages import Ack, GateStatus, WireError, decode, encode
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics

PATIENCE_S, WHOLE_S = 25.0, 40.0
"""For one check, and for all: `maguey-gate doctor` waits for it (`gate.diagnostics.doctor.NETWORK_S`)."""
CONNECT_S = 5.0
ANSWER_S = 10.0
"""The hub acknowledges within milliseconds; after this it will not."""

LinkEvents = queue.SimpleQueue[LinkEvent]


def diagnose_sync(
    config: GateFile, broker: BrokerAddress, client: HubClient, clock: Clock
) -> Iterator[Finding]:
    """Each finding when it is known: HTTP, lists, broker, acknowledgement."""
    return examine(
        [
            ("hub", lambda: check_hub(client)),
            ("tickets", lambda: check_tickets(config)),
            ("broker", lambda: check_line(broker)),
            ("acknowledgement", lambda: check_acknowledgement(config, broker, clock)),
        ],
        PATIENCE_S,
        WHOLE_S,
    )


def check_hub(client: HubClient) -> Iterator[Finding]:
    """Whether the hub answers over HTTP and accepts the gate's token."""
    try:
        config = client.config()
    except HubUnreachable as error:
        yield fault("hub", str(error), "Check hub.url, the cable, and the hub itself.")
    except FetchError as error:
        yield fault("hub", str(error), "")
    else:
        served = sum(event.served for event in config.events)
        yield fine("hub", f"Accepts the token of {config.gate_id}; {served} nights for this gate.")


def check_tickets(config: GateFile) -> Iterator[Finding]:
    """A finding for each night with entries that could not be read; none if all could."""
    reader = CacheReader(config.cache)
    try:
        unread = reader.unread()
        codes = {event.event_id: event.code for event in reader.events()}
    finally:
        reader.close()
    for event_id, what in unread.items():
        advice = "Check the hub's log and the guests' names, and that hub and gate run the same version."
        where = codes.get(event_id, event_id)
        yield fault(
            "tickets",
            f"Night {where}: {what}: cannot be read. The rest is loaded; these guests are refused.",
            advice,
        )


def check_line(broker: BrokerAddress) -> Iterator[Finding]:
    """Whether a TCP connection, and TLS over it, can be made. Sends no MQTT."""
    where = f"{broker.host}:{broker.port}"
    try:
        with socket.create_connection((broker.host, broker.port), CONNECT_S) as line:
            if not broker.is_tls:
                advice = "Set hub.ca_file, cert_file and key_file."
                yield warning("broker", f"{where} answers, unencrypted.", advice)
                return
            with tls(broker, datetime.now(UTC)).wrap_socket(line, server_hostname=broker.host) as safe:
                yield fine("broker", f"{where} answers, {safe.version()}.")
    except LinkError as error:
        yield fault("broker", str(error), "")
    except ssl.SSLError as error:  # before OSError, which it is
        advice = "Is hub.ca_file the hub's own? Is the clock right?"
        yield fault("broker", f"{where} answers, but not as the hub's broker: {error.reason}.", advice)
    except OSError as error:
        why = error.strerror or str(error)
        yield fault("broker", f"{where}: {why}.", "Check hub.broker, the cable, and Mosquitto at the hub.")


def check_acknowledgement(config: GateFile, broker: BrokerAddress, clock: Clock) -> Iterator[Finding]:
    """Whether scans reach the hub: read from a running sync's state, otherwise tried."""
    link = _link(config, clock)
    if link.flooding:
        advice = "Are these gates yours, and in the right hands? If not, revoke them at the hub."
        yield warning("gates", f"Sending more than any door can: {', '.join(link.flooding)}.", advice)
    if not link.alive:
        yield from _try(config, broker)
    elif link.online:
        yield fine("acknowledgement", f"maguey-sync is running; the hub has records up to {link.acked_seq}.")
    elif link.unlisted:
        yield _unlisted()
    else:
        advice = "Is maguey-hub ingest running at the hub? See also journalctl -u maguey-sync."
        yield fault("acknowledgement", "maguey-sync is running, but the hub does not answer it.", advice)


def _unlisted() -> Finding:
    return fault("acknowledgement", f"The broker refuses every subscription: {UNLISTED}", f"{RENEW_LIST}.")


def _link(config: GateFile, clock: Clock) -> LinkState:
    """The state that sync writes into the cache with each heartbeat."""
    reader = CacheReader(config.cache)
    try:
        return reader.link(clock.now())
    finally:
        reader.close()


def _try(config: GateFile, broker: BrokerAddress) -> Iterator[Finding]:
    record = _newest(config)
    topics = Topics(venue=config.venue)
    events: LinkEvents = queue.SimpleQueue()
    status = topics.status(config.gate_id)
    offline = (status, encode(GateStatus(gate_id=config.gate_id, online=False)))
    wanted = [topics.ack(config.gate_id)]
    link = MqttLink(broker, config.gate_id, lambda _link, event: events.put(event), offline, wanted)
    try:
        yield from _converse(config, topics, link, events, record)
    finally:
        link.close(offline)


def _newest(config: GateFile) -> ScanRecord | None:
    outbox = Outbox(config.journal)
    try:
        newest = outbox.above(max(0, outbox.last_seq() - 1), 1)
    except StoreError:  # maguey-gate doctor reports on the journal
        return None
    finally:
        outbox.close()
    return next((one for one in newest if isinstance(one, ScanRecord)), None)


def _converse(
    config: GateFile, topics: Topics, link: MqttLink, events: LinkEvents, record: ScanRecord | None
) -> Iterator[Finding]:
    first = _next(events, time.monotonic() + ANSWER_S)
    if not isinstance(first, Connected):
        if isinstance(first, Disconnected) and first.unlisted:
            yield _unlisted()
            return
        why = first.why if isinstance(first, Disconnected) else "no answer"
        advice = "See the broker's log. Is the certificate this gate's own, and not revoked?"
        yield fault("acknowledgement", f"The broker refuses this gate: {why}.", advice)
        return
    online = encode(GateStatus(gate_id=config.gate_id, online=True))
    link.publish(topics.status(config.gate_id), online, retain=True)
    if record is None:
        yield fine("acknowledgement", "The broker accepts this gate; there is no record to send yet.")
        return
    begun = time.monotonic()
    link.publish(topics.scans(config.gate_id), encode_scans([record]))
    if _await_ack(events, record, begun + ANSWER_S):
        took = (time.monotonic() - begun) * 1000
        yield fine("acknowledgement", f"The hub has record {record.seq}; it answered in {took:.0f} ms.")
    else:
        advice = "The broker works. Is maguey-hub ingest running, and does it know this gate?"
        yield fault(
            "acknowledgement", f"No acknowledgement of record {record.seq} in {ANSWER_S:g} s.", advice
        )


def _await_ack(events: LinkEvents, record: ScanRecord, until: float) -> bool:
    """Whether the hub acknowledges the record now; a retained acknowledgement proves nothing."""
    while (event := _next(events, until)) is not None:
        if isinstance(event, Disconnected):
            return False
        if isinstance(event, Message) and not event.retained and _is_of(event, record):
            return True
    return False


def _is_of(message: Message, record: ScanRecord) -> bool:
    try:
        ack = decode(message.payload, Ack)
    except WireError:
        return False
    return ack.epoch == record.epoch and ack.seq >= record.seq


def _next(events: LinkEvents, until: float) -> LinkEvent | None:
    try:
        return events.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        return None
