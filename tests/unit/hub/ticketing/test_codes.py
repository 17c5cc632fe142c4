"""Codes as they are printed (protocol 4.1)."""

from __future__ import annotations

import json
import random
from datetime import date

import pytest

from gate.rules.payload import Code, parse, prove
from hub.ticketing.codes import pass_code, printed_json, sign, ticket_code


@pytest.mark.parametrize("make", [lambda s: ticket_code("PF", date(2025, 1, 15), s), pass_code])
def test_a_made_code_is_read_as_ours(make: object) -> None:
    code = parse(make(random.Random(1)).encode())  # type: ignore[operator]
    assert isinstance(code, Code)
    assert code.check_ok


def test_a_ticket_code_names_event_and_night() -> None:
    code = parse(ticket_code("PF", date(2025, 1, 15), random.Random(1)).encode())
    assert isinstance(code, Code)
    assert (code.event_code, code.event_date) == ("PF", "20250115")


def test_the_printed_json_is_proven_by_the_hash_of_its_signature() -> None:
    import hashlib

    code = pass_code(random.Random(1))
    signature = sign(code, b"key")
    read = parse(printed_json(code, signature, "r1").encode())
    assert isinstance(read, Code)
    assert prove(read, hashlib.sha256(signature.encode()).hexdigest(), {}) == "valid"
    assert json.loads(printed_json(code, signature, "r1"))["meta"] == {"reservationId": "r1"}
