"""Good codes made bad, in every way that print, phones, scanners and strangers know."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

LOOK_ALIKES = str.maketrans('MGYPSVIA0125-.{"', "МԌΥΡſⅤıАО１²⑤‑․｛＂")
"""Characters that look the same, or become the same under NFKC or upper()."""
CONTROLS = [bytes([byte]) for byte in (*range(0x20), 0x7F)] + ["\x85".encode(), "\u2028".encode()]
STRANGE = [
    b"\xef\xbb\xbf", "\u202e".encode(), "\u200b".encode(), "e\u0301".encode(), "ß".encode(), "ﬁ".encode(),
    b"\xed\xa0\x80", b"\xff", b"\xc0\xaf", b"\xf4\x90\x80\x80", b" ", b"%2d", b"\\u002d", b"\\ud800",
]  # fmt: skip
JSON_PARTS = [
    b'"token":"",', b'"token":null,', b'"signature":"",', b'"signature":"x",', b'"v":1e999999999,',
    b'"n":' + b"9" * 300 + b",", b'"n":-0.0,', b'"a":' + b"[" * 60 + b"]" * 60 + b",",
    b'"d":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b",", b'"s":"\\ud83d\\ude00\\ud800",', b'"n":NaN,',
]  # fmt: skip

Mutation = Callable[[bytes, random.Random], bytes]


def flip_bits(raw: bytes, source: random.Random) -> bytes:
    flipped = bytearray(raw)
    for _ in range(source.choice((1, 1, 2, 8))):
        if flipped:
            flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
    return bytes(flipped)


def replace_one(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw) + 1)
    return raw[:at] + source.choice(string.ascii_letters + string.digits).encode() + raw[at + 1 :]


def swap_neighbours(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw) + 1)
    return raw[:at] + raw[at : at + 2][::-1] + raw[at + 2 :]


def insert(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw) + 1)
    what = source.choice((source.randbytes(1), source.choice(CONTROLS), source.choice(STRANGE), b"\x00"))
    return raw[:at] + what * source.choice((1, 1, 1, 3)) + raw[at:]


def delete(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw) + 1)
    return raw[:at] + raw[at + source.choice((1, 1, 2, 20)) :]


def truncate(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw) + 1)
    return source.choice((raw[:at], raw[at:]))


def repeat_a_part(raw: bytes, source: random.Random) -> bytes:
    at, length = source.randrange(len(raw) + 1), source.choice((1, 5, 40))
    return raw[:at] + raw[at : at + length] * source.choice((2, 3, 30)) + raw[at + length :]


def change_case(raw: bytes, source: random.Random) -> bytes:
    text = raw.decode("utf-8", "replace")
    changes = (text.lower(), text.upper(), text.swapcase(), text.title())
    mixed = "".join(char.lower() if source.random() < 0.5 else char for char in text)
    return source.choice((*changes, mixed)).encode()


def look_alike(raw: bytes, source: random.Random) -> bytes:
    text = raw.decode("utf-8", "replace")
    share = source.choice((0.02, 0.1, 1.0))
    return "".join(char.translate(LOOK_ALIKES) if source.random() < share else char for char in text).encode()


def full_width(raw: bytes, source: random.Random) -> bytes:
    text = raw.decode("utf-8", "replace")
    at = source.randrange(len(text) + 1)
    end = source.choice((at + 1, len(text)))
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text[at:end])
    return (text[:at] + wide + text[end:]).encode()


def add_to_json(raw: bytes, source: random.Random) -> bytes:
    part = source.choice(JSON_PARTS)
    return raw.replace(b"{", b"{" + part, 1) if source.random() < 0.5 else raw.replace(b",", b"," + part, 1)


def escape_in_json(raw: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(raw) + 1)
    return raw[:at] + b"".join(b"\\u%04x" % byte for byte in raw[at : at + 3]) + raw[at + 3 :]


def nest(raw: bytes, source: random.Random) -> bytes:
    depth = source.choice((1, 100, 1000, 20_000))
    opened, closed = source.choice(((b"[", b"]"), (b'{"token":', b"}")))
    return opened * depth + raw + closed * source.choice((0, depth))


def pad(raw: bytes, source: random.Random) -> bytes:
    return source.choice((raw + b" " * 900, raw + b"A" * 3000, b"0" * 60 + raw, raw * 20))


def swap_the_signature(raw: bytes, source: random.Random) -> bytes:
    head, dot, tail = raw.partition(b".")
    other = bytes(source.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(103))
    return head + (dot or b".") + source.choice((b"K1", b"K2", b"K9", tail[:2])) + other


def respell_the_signature(raw: bytes, source: random.Random) -> bytes:
    return raw[:-1] + bytes([source.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")])


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, replace_one, swap_neighbours, insert, delete, truncate, repeat_a_part, change_case, look_alike,
    full_width, add_to_json, escape_in_json, nest, pad, swap_the_signature, respell_the_signature,
)  # fmt: skip


def mutated(raw: bytes, source: random.Random) -> bytes:
    """One to four mutations, mostly one: what is still nearly a code gets furthest."""
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        raw = source.choice(MUTATIONS)(raw, source)
    return raw
