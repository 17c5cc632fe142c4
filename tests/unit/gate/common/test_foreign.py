"""Whatever strangers send, its reader returns a value or refuses it in one way (protocol 4.5)."""

from __future__ import annotations

import ast
import base64
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gate.common.foreign import UnreadableError, read_json
from gate.hotline.messages import to_door, to_sync
from gate.rules.alert import Alert
from gate.rules.command import Command, Envelope, OrderReply, RefusedOrder, unseal
from gate.rules.model import ScanRecord
from gate.rules.payload import Code, Malformed, parse
from gate.store.live_file import read_live
from hardware.eye import messages
from hub.gates.status_message import decode_status
from sync.wire import messages as wire
from sync.wire.scans import UnreadableRecord, decode_scans
from tests.factories import StoppedClock
from tests.paths import ROOT
from tests.unit.gate.common import first_use

KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
NOW = StoppedClock(synced=True).now()
SHAPES = (wire.Ack, wire.Head, wire.Delta, Alert, wire.GateStatus, wire.GateConfig, OrderReply)
Reader = Callable[[bytes], object]


def _code(raw: bytes) -> object:
    return parse(raw)


def _order(raw: bytes) -> object:
    """The body of an envelope with a valid signature: the hub itself may send nonsense."""
    envelope = Envelope(
        body=base64.b64encode(raw).decode(),
        key="S1",
        signature=base64.b64encode(KEY.sign(raw)).decode(),
    )
    return unseal(msgspec.json.encode(envelope), {"S1": KEY.public_key()}, "gate-1", NOW)


READERS: dict[str, tuple[Reader, type[Exception] | None]] = {
    "a packet of the door": (to_sync, UnreadableError),
    "a packet of sync": (to_door, UnreadableError),
    "an envelope": (lambda raw: unseal(raw, {"S1": KEY.public_key()}, "gate-1", NOW), None),
    "an order": (_order, None),
    "a code": (_code, None),
    "claims": (wire.to_hub, wire.WireError),
    "grants": (wire.to_gate, wire.WireError),
    "scans": (lambda raw: decode_scans(raw, "gate-1"), wire.WireError),
    "a status": (lambda raw: decode_status(raw, "gate-1"), wire.WireError),
    "a decoder's answer": (messages.reply, UnreadableError),
    "a request to the decoder": (messages.request, UnreadableError),
    **{
        shape.__name__: (lambda raw, shape=shape: wire.decode(raw, shape), wire.WireError)  # type: ignore[misc]
        for shape in SHAPES
    },
}
FIELDS = sorted(
    {field for shape in (*SHAPES, ScanRecord, Command, Envelope) for field in shape.__struct_encode_fields__}
    | {"t", "scans", "token", "meta", "changes", "row"}
)
NUMBERS = st.one_of(st.integers(), st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400]), st.floats())
LEAVES = st.one_of(
    st.none(), st.booleans(), NUMBERS, st.text(max_size=20), st.just("9999-12-31T23:59:59-23:59")
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
    ),
    max_leaves=20,
)


def survives(name: str, raw: bytes) -> None:
    read, refusal = READERS[name]
    try:
        read(raw)
    except Exception as error:
        assert refusal is not None, f"{name} raised {error!r}"
        assert isinstance(error, refusal), f"{name} raised {error!r}"
        assert len(str(error)) < 1000


def nested(depth: int, bracket: str) -> str:
    opening, closing = {"[": ("[", "]"), "{": ('{"a":', "}")}[bracket]
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("bracket", ["[", "{"])
def test_no_depth_of_nesting_gets_past_a_reader(name: str, bracket: str) -> None:
    for depth in (1, 100, 700, 1_500, 3_000):
        deep = nested(depth, bracket)
        for text in (
            deep,
            deep[:depth],
            f'{{"zz":{deep}}}',
            f'{{"v":1,"scans":[{deep}]}}',
            f'{{"t":{deep}}}',
        ):
            survives(name, text.encode())


@given(tree=TREES, cut=st.integers(0, 400), junk=st.binary(max_size=3))
def test_no_structure_gets_past_a_reader(tree: Any, cut: int, junk: bytes) -> None:
    raw = json.dumps(tree).encode()  # with NaN, Infinity and lone surrogates, which not every reader knows
    for name in READERS:
        survives(name, raw)
        survives(name, raw[:cut] + junk + raw[cut:])


@given(raw=st.binary(max_size=200))
def test_no_bytes_get_past_a_reader(raw: bytes) -> None:
    for name in READERS:
        survives(name, raw)


def test_what_exceeds_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(UnreadableError, match="3 bytes, more than 2"):
        read_json(b"[1]", list[int], limit=2)


def test_the_reason_for_a_refusal_is_short_whatever_the_library_quotes() -> None:
    with pytest.raises(UnreadableError) as caught:
        read_json(json.dumps({"x" * 5_000: 1}), dict[str, str], limit=10_000)
    assert len(str(caught.value)) <= 200


def test_a_deeply_nested_order_is_refused_in_words() -> None:
    envelope = b'{"zz":' + b"[" * 1_500
    found = unseal(envelope, {}, "gate-1", NOW)
    assert found == RefusedOrder(why="it cannot be read")


def test_a_deeply_nested_record_spoils_only_itself() -> None:
    batch = b'{"v":1,"scans":[{"zz":' + b"[" * 400 + b"]" * 400 + b'},{"epoch":"e","seq":7}]}'
    good, bad = decode_scans(batch, "gate-1")
    assert (good, len(bad)) == ([], 2)
    assert all(isinstance(one, UnreadableRecord) for one in bad)


def test_a_ticket_of_the_shop_with_deep_metadata_is_judged_by_its_token() -> None:
    code = "MGY-PF-20250115-7K3M9QX2VD5RTA0HQ"
    fits = parse(f'{{"token":"{code}","signature":"x","meta":{nested(300, "[")}}}'.encode())
    assert isinstance(fits, Code | Malformed)


def test_a_deeply_nested_file_of_the_door_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "door.json"
    file.write_bytes(b'{"zz":' + b"[" * 5_000)
    assert "not what the door writes" in read_live(file, NOW).why


def test_json_is_read_in_one_place_only() -> None:
    """So that only one place has to know what the library may raise."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in itertools.chain.from_iterable((ROOT / name).rglob("*.py") for name in PRODUCT)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _reads_json(node) and str(path.relative_to(ROOT)) not in ALLOWED
    ]
    assert not found, "read with gate.common.foreign.read_json: " + ", ".join(found)


PRODUCT = ("gate", "sync", "hub", "hardware", "display", "fleet")
ALLOWED = {
    "gate/common/foreign.py",  # the one place
    "gate/store/rows.py",  # the journal's own column; a row that cannot be read is `Spoiled`
    "sync/feed/snapshot.py",  # a whole answer is read in `_in_words`, whatever a line raises
    "hardware/eye/__main__.py", "hardware/eye/camera_child.py",  # messages of their own parent
}  # fmt: skip


def _reads_json(call: ast.Call) -> bool:
    said = ast.unparse(call.func)
    return said in ("msgspec.json.decode", "json.loads", "json.load", "msgspec.json.decoder")


def test_a_type_may_be_read_for_the_first_time_by_several_threads_at_once() -> None:
    command = [sys.executable, "-m", first_use.__name__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, str(first_use.TYPES * first_use.THREADS)), (
        done.stderr
    )
