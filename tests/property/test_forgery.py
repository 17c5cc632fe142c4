"""No forgery: invariant 10, and protocol 4.1 under fire.

Whatever is presented, `parse`, `prove` and `decide` answer, and an admission means that the
code's hash came from the hub or that its signature verifies over its id. The judge below reads
what was presented in its own way, so that a mistake of the gate does not excuse itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections import Counter

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gate.rules.decide import decide
from gate.rules.model import Kind, Reason, Ruling, Status, Verdict
from gate.rules.payload import Code, parse, prove
from tests.codes import KEY, NEXT_KEY, printed, signed
from tests.factories import a_question, a_table, an_admission, code_id, pass_id
from tests.long import cases
from tests.mutations import mutated

KEYS = {"K1": KEY.public_key(), "K2": NEXT_KEY.public_key()}
HMACS = {code_id(2): "Zmlyc3Q=", pass_id(1): "c2Vjb25k"}
"""What the hub signed; the cache holds its hash."""
GOOD = {
    code_id(1): Kind.GA,
    code_id(2): Kind.GA,
    "MGY-PF-20261120-ABC123XYZ": Kind.GA,
    pass_id(1): Kind.VIP_PASS,
}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


CACHE = {
    digest(known): an_admission(
        known, kind=kind, signature_hash=digest(HMACS[known]) if known in HMACS else None
    )
    for known, kind in GOOD.items()
}
CACHE[digest(code_id(3))] = an_admission(code_id(3), status=Status.REFUNDED)

STARTS = [
    *GOOD,
    code_id(3),
    code_id(4),
    code_id(5, event="PS"),
    pass_id(2),
    signed(code_id(1)),
    signed(code_id(3)),
    signed(code_id(4)),
    signed(code_id(4), "K2", NEXT_KEY),
    signed(code_id(4), "K2"),
    signed(code_id(1), "K9"),
    signed(code_id(5, event="PS")),
    signed(pass_id(2)),
    printed(code_id(1)),
    printed(code_id(2), HMACS[code_id(2)]),
    printed(code_id(4)),
    printed(pass_id(1), HMACS[pass_id(1)]),
]


def scan(raw: bytes) -> Verdict:
    """The gate's answer, on a night on which all this is valid."""
    code = parse(raw)
    admission = CACHE.get(code.code_hash) if isinstance(code, Code) else None
    issued = (admission.signature_hash or "") if admission else None
    return decide(
        a_question(
            presented=code,
            admission=admission,
            table=a_table() if admission and admission.kind is Kind.VIP_PASS else None,
            ticket_event=None,
            proof=prove(code, issued, KEYS) if isinstance(code, Code) else "none",
        )
    )


AROUND = re.compile(r"^[\s\ufeff\u200b-\u200f\u2060]+|[\s\ufeff\u200b-\u200f\u2060]+$")
"""What may stand around a code without being of it (domain 2.3, "Invisible bytes")."""


def assert_rightful(raw: bytes) -> None:
    """The judge: whether this may have been admitted."""
    text = AROUND.sub("", raw.decode())
    if text.startswith("{"):
        body = json.loads(text)
        known = body["token"].upper()
        assert known in GOOD
        assert body["signature"] == HMACS[known]
        return
    known, dot, rest = text.upper().partition(".")
    if not dot:
        assert known in GOOD
        return
    key_id, signature = rest[:-103], base64.b32decode(rest[-103:] + "=")
    if key_id not in KEYS:
        assert known in GOOD
        return
    try:
        KEYS[key_id].verify(signature, known.encode())
    except InvalidSignature:
        pytest.fail("admitted with a signature that does not verify")
    assert known in GOOD or known.startswith("MGY-PF-")


def check(raw: bytes) -> Verdict:
    verdict = scan(raw)
    if verdict.ruling is not Ruling.DENY:
        assert_rightful(raw)
    return verdict


def test_the_judge_tells_rightful_admissions_from_others() -> None:
    admitted = [start for start in STARTS if check(start.encode()).admits]
    assert len(admitted) == len(GOOD) + 6
    for wrong in (code_id(4), signed(code_id(4), "K2"), printed(code_id(2), "x")):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            assert_rightful(wrong.encode())


@pytest.mark.parametrize("seed", range(20))
def test_no_mutation_of_a_code_is_admitted_without_right_or_stops_the_door(seed: int) -> None:
    """A thousand each: twenty thousand."""
    source = random.Random(seed)
    reasons: Counter[Reason] = Counter()
    for number in range(1000):
        raw = mutated(STARTS[number % len(STARTS)].encode(), source)
        reasons[check(raw).reason] += 1
    # what is fired must reach every line that judges a code, or it proves nothing
    judged = {Reason.MALFORMED, Reason.BAD_CHECKSUM, Reason.FORGED, Reason.UNKNOWN, Reason.REFUNDED}
    assert judged <= set(reasons)
    assert reasons[Reason.FIRST_ENTRY] > 10
    assert reasons[Reason.MALFORMED] < 850


CHECKABLE = [start for start in STARTS if not start.startswith("{") and ".K9" not in start]
"""Of a known ticket with a signature by a key that is not held, only the id counts."""


@pytest.mark.parametrize("start", CHECKABLE)
def test_no_single_bit_flipped_in_an_id_or_a_signature_is_admitted(start: str) -> None:
    """Exhaustive. What may be flipped: a letter's case, and the key id of a ticket the cache knows."""
    end = start.find(".") if "." in start else len(start)
    for bit in range(len(start) * 8):
        flipped = bytearray(start.encode())
        flipped[bit // 8] ^= 1 << bit % 8
        if check(bytes(flipped)).admits:
            text = flipped.decode().upper()
            assert (text[:end], text[end:][-103:]) == (start[:end], start[end:][-103:]), bit


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)
BODIES = st.fixed_dictionaries(
    {}, optional={"token": st.sampled_from(STARTS) | JSON, "signature": JSON, "meta": JSON, "v": JSON}
).map(lambda body: json.dumps(body).encode())
MUTATED = st.builds(
    lambda start, seed: mutated(start.encode(), random.Random(seed)),
    st.sampled_from(STARTS),
    st.integers(0, 2**32),
)


@settings(max_examples=cases(200, long=1000))
@given(st.binary(max_size=1100) | st.text(max_size=400).map(str.encode) | BODIES | MUTATED)
@example(b"")
@example(b"{" * 1024)
@example(b'{"token":' * 113)
@example(b'{"token":"\\ud800","signature":"\\udfff"}')
@example(b'{"a":' + b"[" * 1018)
@example(b"." * 1024)
@example(b"MGY-PF-20261120-" + b"A" * 1008)
@example(b"VIP-PASS-" + b"-" * 64)
@example(b"A-" * 400 + b".K1" + b"A" * 103)
def test_nothing_that_is_presented_stops_the_door_or_is_admitted_without_right(raw: bytes) -> None:
    check(raw)
