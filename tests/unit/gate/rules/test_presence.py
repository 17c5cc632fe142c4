"""What counts as one presentation of a code, over many frames: domain 2.3."""

from __future__ import annotations

import itertools

import pytest

from gate.rules.payload import Code, Several
from gate.rules.presence import Presence, Presented, Sighting, observe
from tests.codes import printed, signed
from tests.factories import a_code, code_id, pass_id

A, B = code_id(1).encode(), code_id(2).encode()
MENU, POSTER = b"https://example.org/menu", b"https://example.org/poster"


class Camera:
    """Turns frames into answers and keeps the state in between."""

    def __init__(self) -> None:
        self.state = Presence()
        self.now_ms = 0

    def see(self, *codes: bytes, after_ms: int = 66) -> Presented | None:
        self.now_ms += after_ms
        sightings = [Sighting.of(code, index / 10) for index, code in enumerate(codes)]
        self.state, answer = observe(self.state, sightings, self.now_ms)
        return answer

    def away(self, milliseconds: int) -> None:
        """Show empty frames for this long."""
        for _ in range(milliseconds // 100):
            assert self.see(after_ms=100) is None

    def raws(self, *frames: tuple[bytes, ...], after_ms: int = 66) -> list[bytes]:
        answers = [self.see(*frame, after_ms=after_ms) for frame in frames]
        return [answer.raw for answer in answers if answer]


def test_one_presentation_is_one_scan_however_many_frames_show_it() -> None:
    assert Camera().raws(*[(A,)] * 200) == [A]


def test_a_code_held_in_view_is_scanned_once_though_some_frames_miss_it() -> None:
    assert Camera().raws((A,), (), (), (A,), (), (A,), after_ms=400) == [A]


def test_a_code_that_left_the_frame_for_rescan_after_is_scanned_again() -> None:
    camera = Camera()
    assert camera.see(A) is not None
    camera.away(1400)
    assert camera.see(A) is None
    camera.away(1500)
    assert camera.see(A) is not None


def test_time_without_a_frame_does_not_count_as_out_of_sight() -> None:
    camera = Camera()
    assert camera.see(A) is not None
    assert camera.see(A, after_ms=30_000) is None


def test_the_next_guest_does_not_wait_for_the_one_before() -> None:
    assert Camera().raws((A,), (B,)) == [A, B]


def test_two_valid_codes_are_answered_once_as_ambiguous() -> None:
    camera = Camera()
    answers = [camera.see(A, B) for _ in range(50)]
    assert answers[0] == Presented(Several(2), b"")
    assert answers[1:] == [None] * 49


def test_the_code_that_stays_after_two_were_shown_is_scanned() -> None:
    assert Camera().raws((A, B), (A, B), (B,)) == [b"", B]


def test_the_same_code_twice_in_a_frame_is_one_code() -> None:
    assert Camera().raws((A, A)) == [A]


def test_a_foreign_code_beside_ours_is_ignored() -> None:
    answer = Camera().see(MENU, A)
    assert answer == Presented(a_code(A.decode()), A)


def test_a_foreign_code_seen_beside_ours_is_not_answered_afterwards() -> None:
    assert Camera().raws((MENU, A), (MENU,), (MENU, A), (MENU,)) == [A]


def test_a_poster_in_view_all_night_is_answered_once() -> None:
    assert Camera().raws(*[(POSTER,)] * 1000) == [POSTER]


def test_of_several_foreign_codes_the_most_central_is_answered_once() -> None:
    assert Camera().raws((MENU, POSTER), (POSTER, MENU), (MENU,)) == [MENU]


def test_codes_out_of_sight_are_forgotten() -> None:
    camera = Camera()
    for number in range(100):
        camera.see(code_id(number).encode())
        camera.away(1600)
    assert camera.state.held == {}


CARRIERS = [
    text.encode() for text in (code_id(1), code_id(1).lower(), signed(code_id(1)), printed(code_id(1)))
]


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(CARRIERS, 2)])
def test_the_same_code_in_two_carriers_in_one_frame_is_one_code(first: bytes, second: bytes) -> None:
    camera = Camera()
    answer = camera.see(first, second)
    assert answer is not None
    assert isinstance(answer.what, Code)
    assert answer.what.code_hash == a_code(code_id(1)).code_hash
    assert answer == Presented.of(answer.raw)
    assert [camera.see(*frame) for frame in ((second, first), (first,), (second,))] == [None] * 3


@pytest.mark.parametrize("says_more", CARRIERS[2:])
def test_the_signed_one_of_two_carriers_of_one_code_is_taken(says_more: bytes) -> None:
    for frame in ((A, says_more), (says_more, A)):
        answer = Camera().see(*frame)
        assert answer is not None
        assert answer.raw == says_more


def test_another_carrier_of_a_code_held_in_view_is_not_a_new_presentation() -> None:
    assert Camera().raws(*[(carrier,) for carrier in CARRIERS * 5]) == [CARRIERS[0]]


@pytest.mark.parametrize("foreign", [MENU, POSTER, b"\xff\x00", b"{}", code_id(1).encode() + b"\x00"])
def test_our_code_wins_however_central_a_foreign_one_is(foreign: bytes) -> None:
    for frame in ((foreign, A), (foreign, foreign, foreign, A), (A, foreign)):
        assert Camera().raws(frame) == [A]


def test_two_valid_codes_are_ambiguous_however_central_one_of_them_is() -> None:
    _, answer = observe(Presence(), [Sighting.of(A, 0.0), Sighting.of(B, 1.0)], 0)
    assert answer == Presented(Several(2), b"")


@pytest.mark.parametrize("other", [B, pass_id().encode(), signed(code_id(2)).encode()])
def test_two_valid_codes_of_any_kind_are_ambiguous_even_beside_foreign_ones(other: bytes) -> None:
    answer = Camera().see(MENU, A, POSTER, other)
    assert answer == Presented(Several(2), b"")


def test_a_second_code_shown_beside_one_already_answered_is_ambiguous() -> None:
    camera = Camera()
    assert camera.raws((A,), (A, B), (A, B)) == [A, b""]
    camera.away(1400)
    assert camera.see(B) == Presented.of(B)


def test_the_most_central_foreign_code_is_answered_whatever_their_order() -> None:
    for order in itertools.permutations([(MENU, 0.1), (POSTER, 0.5), (b"x", 0.9)]):
        _, answer = observe(Presence(), [Sighting.of(raw, offset) for raw, offset in order], 0)
        assert answer is not None
        assert answer.raw == MENU


def test_two_foreign_codes_with_the_same_beginning_are_two() -> None:
    long = b"https://example.org/" + b"a" * 100
    assert Camera().raws((long + b"1",), (long + b"2",)) == [long + b"1", long + b"2"]
