"""What the screens say, rule by rule (domain 2.3, 2.4)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from display.samples import ENTRY, FRIDAY, OFFLINE, ONLINE, SATURDAY, TABLE, ZONE, samples
from display.text.catalogue import Lang
from display.text.words import compose, veiled
from gate.common.errors import Step
from gate.ports.screen import (
    DoubleEntry,
    EntryPlace,
    Focus,
    Idle,
    LinkView,
    Notice,
    OutOfOrder,
    Part,
    RolledBack,
    Screen,
    StaffText,
    Typing,
    VerdictScreen,
)
from gate.rules.model import Entry, Event, Flag, Kind, Reason, Ruling, Table, Verdict
from gate.rules.typo import Typo


def admit(kind: Kind, table: Table | None = TABLE, **more: object) -> VerdictScreen:
    verdict = Verdict(
        ruling=Ruling.ADMIT, reason=Reason.FIRST_ENTRY, line=11, kind=kind, subject_id="s", table=table
    )
    return VerdictScreen(verdict=replace(verdict, **more), link=ONLINE)


def reentry(table: Table | None = TABLE, entry: Entry | None = ENTRY) -> VerdictScreen:
    return admit(Kind.VIP_LINKED, table, reason=Reason.REENTRY, line=12, entry=entry)


def deny(
    reason: Reason,
    *,
    kind: Kind = Kind.GA,
    event: Event | None = FRIDAY,
    table: Table | None = None,
    entry: Entry | None = None,
    place: str = "",
    subject_id: str | None = "s",
) -> VerdictScreen:
    verdict = Verdict(
        ruling=Ruling.DENY,
        reason=reason,
        line=0,
        kind=kind,
        event=event,
        table=table,
        entry=entry,
        subject_id=subject_id,
    )
    return VerdictScreen(verdict=verdict, place=place, link=ONLINE)


def said(screen: Screen, lang: Lang = "en") -> tuple[str, ...]:
    page = compose(screen, lang, ZONE)
    return (page.headline, *page.lines)


# --- the decision table, line by line


def test_line_1_malformed() -> None:
    assert said(deny(Reason.MALFORMED)) == ("NOT A MAGUEY TICKET",)
    assert said(deny(Reason.MALFORMED), "es") == ("NO ES BOLETO MAGUEY",)


def test_line_2_bad_checksum_asks_to_type_it_in() -> None:
    assert said(deny(Reason.BAD_CHECKSUM)) == ("DAMAGED CODE", "Type it in")


def test_line_2_of_a_typed_code_says_which_character_is_likely_wrong() -> None:
    screen = replace(deny(Reason.BAD_CHECKSUM), typo=Typo(group=6, place=1, wrote="8"))
    assert said(screen) == ("TYPING ERROR", "Group 6, character 1: 8?")
    assert said(screen, "es") == ("ERROR DE TECLEO", "Grupo 6, carácter 1: ¿8?")


def test_line_3_forged() -> None:
    assert said(deny(Reason.FORGED)) == ("FORGED TICKET", "Signature invalid")


def test_line_4_ambiguous_is_neither_yes_nor_no() -> None:
    verdict = Verdict(ruling=Ruling.NONE, reason=Reason.AMBIGUOUS, line=4)
    page = compose(VerdictScreen(verdict=verdict, link=ONLINE), "en", ZONE)
    assert (page.headline, page.icon) == ("ONE TICKET AT A TIME", "attention")


def test_line_5_unknown() -> None:
    assert said(deny(Reason.UNKNOWN)) == ("TICKET NOT FOUND", "Ask staff")


def test_line_6_unsynced_is_a_welcome_and_nothing_else() -> None:
    screen = admit(Kind.UNKNOWN, None, flags=(Flag.UNSYNCED,), subject_id=None)
    assert said(screen) == ("WELCOME",)


def test_line_7_wrong_event_names_the_night() -> None:
    screen = deny(Reason.WRONG_EVENT, event=SATURDAY)
    assert said(screen) == ("WRONG EVENT", "Ticket is for Sat 1 Feb:", "PERREO SATURDAYS")
    assert said(screen, "es") == ("OTRO EVENTO", "El boleto es para sáb 1 feb:", "PERREO SATURDAYS")


def test_line_7_wrong_event_without_a_known_night() -> None:
    assert said(deny(Reason.WRONG_EVENT, event=None))[1] == "Ticket is for another event"


def test_line_7_a_night_nobody_knows_is_another_event() -> None:
    assert said(deny(Reason.WRONG_EVENT, event=None))[1] == "Ticket is for another event"


def test_line_8_event_cancelled() -> None:
    assert said(deny(Reason.EVENT_CANCELLED)) == ("EVENT CANCELLED", "PERREO FRIDAYS")
    assert said(deny(Reason.EVENT_CANCELLED, event=None)) == ("EVENT CANCELLED",)


def test_line_8_ticket_cancelled_and_refunded() -> None:
    assert said(deny(Reason.CANCELLED)) == ("TICKET CANCELLED", "No longer valid")
    assert said(deny(Reason.REFUNDED)) == ("TICKET REFUNDED", "No longer valid")


def test_line_8_a_cancelled_pass_is_not_called_a_ticket() -> None:
    screen = deny(Reason.CANCELLED, kind=Kind.VIP_PASS, table=TABLE)
    assert said(screen) == ("PASS CANCELLED", "Table 12")


def test_line_9_table_not_confirmed() -> None:
    screen = deny(Reason.TABLE_NOT_CONFIRMED, kind=Kind.VIP_PASS, table=TABLE)
    assert said(screen) == ("TABLE NOT CONFIRMED", "Table 12 is not confirmed")


def test_line_9_table_not_confirmed_without_a_table() -> None:
    screen = deny(Reason.TABLE_NOT_CONFIRMED, kind=Kind.VIP_PASS)
    assert said(screen)[1] == "Its reservation is not confirmed"


def test_line_10_too_early_says_when_in_the_venues_time() -> None:
    assert said(deny(Reason.TOO_EARLY)) == ("TOO EARLY", "Doors open 22:00")
    page = compose(deny(Reason.TOO_EARLY), "es", ZoneInfo("Europe/Madrid"))
    assert page.lines == ("Abrimos 05:00",)


def test_line_10_event_over() -> None:
    assert said(deny(Reason.EVENT_OVER)) == ("EVENT OVER", "Ended 04:00")


def test_line_10_without_an_event() -> None:
    assert said(deny(Reason.TOO_EARLY, event=None))[1] == "Doors are not open yet"
    assert said(deny(Reason.EVENT_OVER, event=None))[1] == "The night is over"


def test_line_11_general_admission() -> None:
    page = compose(admit(Kind.GA, None, ticket_type="Early Bird"), "en", ZONE)
    assert (page.headline, page.lines, page.icon) == ("WELCOME", ("Early Bird",), "check")


def test_line_11_host_sees_the_table_and_then_the_guests() -> None:
    page = compose(admit(Kind.VIP_HOST), "en", ZONE)
    assert page.headline == "TABLE 12"
    assert page.lines == ("Terraza Norte", "3 of 8 in", "Premium", "Host: José María Hernández-Villaseñor")
    assert page.roll == TABLE.guests


def test_line_11_host_is_the_tickets_holder_first() -> None:
    assert "Host: Ana" in said(admit(Kind.VIP_HOST, holder="Ana"))


def test_line_11_guest_pass() -> None:
    assert said(admit(Kind.VIP_PASS)) == ("VIP GUEST", "Table 12 · 3 of 8 in", "Terraza Norte")


def test_line_11_linked_guest() -> None:
    assert said(admit(Kind.VIP_LINKED)) == ("GUEST OF TABLE 12", "Terraza Norte", "3 of 8 in")
    assert said(admit(Kind.VIP_LINKED), "es")[0] == "INVITADO DE MESA 12"


def test_line_11_only_the_host_sees_the_guest_list() -> None:
    for kind in (Kind.VIP_PASS, Kind.VIP_LINKED, Kind.GA):
        assert compose(admit(kind), "en", ZONE).roll == ()
    assert compose(admit(Kind.VIP_HOST, reason=Reason.REENTRY), "en", ZONE).roll == ()


@pytest.mark.parametrize(
    ("kind", "headline"),
    [(Kind.VIP_HOST, "VIP HOST"), (Kind.VIP_PASS, "VIP GUEST"), (Kind.VIP_LINKED, "VIP GUEST")],
)
def test_line_11_without_a_table(kind: Kind, headline: str) -> None:
    assert said(admit(kind, None)) == (headline,)


def test_line_11_table_with_a_name_only() -> None:
    table = replace(TABLE, number="")
    assert said(admit(Kind.VIP_PASS, table)) == ("VIP GUEST", "Terraza Norte · 3 of 8 in")


def test_line_11_table_without_seats_counts_without_them() -> None:
    assert "3 in" in said(admit(Kind.VIP_LINKED, replace(TABLE, seats=0)))


def test_line_11_a_tier_of_the_venues_own_is_shown_as_it_is() -> None:
    assert "Backstage" in said(admit(Kind.VIP_HOST, replace(TABLE, tier="Backstage")))


def test_line_12_reentry() -> None:
    assert said(reentry()) == ("RE-ENTRY GRANTED", "Last entry 22:04", "Table 12")
    assert said(reentry(), "es") == ("REINGRESO PERMITIDO", "Última entrada 22:04", "Mesa 12")


def test_line_12_reentry_at_an_unknown_time() -> None:
    assert said(reentry(None, None)) == ("RE-ENTRY GRANTED", "Was in before")


def test_line_13_already_used_says_when_and_where() -> None:
    screen = deny(Reason.ALREADY_USED, entry=ENTRY, place="GATE 2")
    assert said(screen) == ("ALREADY USED", "Used 22:04 at GATE 2")


def test_line_13_already_used_falls_back_on_the_gates_id() -> None:
    assert said(deny(Reason.ALREADY_USED, entry=ENTRY))[1] == "Used 22:04 at gate-2"
    nowhere = Entry(at=ENTRY.at, gate="")
    assert said(deny(Reason.ALREADY_USED, entry=nowhere))[1] == "Used 22:04"


def test_line_13_already_used_at_an_unknown_time() -> None:
    assert said(deny(Reason.ALREADY_USED))[1] == "Used before, time unknown"


def test_a_refusal_that_staff_overruled_admits_and_says_so() -> None:
    screen = admit(Kind.GA, None, reason=Reason.ALREADY_USED, flags=(Flag.FORCED,))
    page = compose(screen, "en", ZONE)
    assert (page.headline, page.lines, page.icon) == ("LET IN", ("Let in by staff",), "check")


def test_an_admission_without_its_own_history_is_a_welcome_and_nothing_else() -> None:
    """The flag is recorded and the gate says between guests what to do; a green check says one thing."""
    screen = admit(Kind.GA, None, flags=(Flag.HISTORY_LOST,))
    assert said(screen) == ("WELCOME",)


def test_an_admission_that_the_door_took_back_is_a_refusal() -> None:
    screen = deny(Reason.FIRST_ENTRY)
    assert said(screen) == ("NO ENTRY", "Ask staff")


# --- guessing


@pytest.mark.parametrize("reason", [Reason.MALFORMED, Reason.BAD_CHECKSUM, Reason.FORGED, Reason.UNKNOWN])
@pytest.mark.parametrize("lang", ["en", "es"])
def test_a_locked_gate_tells_a_guesser_nothing_but_to_see_staff(reason: Reason, lang: Lang) -> None:
    """The page is the same, whatever was wrong with the code."""
    guess = deny(reason)
    locked = replace(guess, verdict=replace(guess.verdict, flags=(Flag.LOCKED,)))
    typed = replace(locked, typo=Typo(group=6, place=1, wrote="8"))
    plain = compose(Notice(word="see_staff", link=ONLINE), lang, ZONE)
    assert compose(locked, lang, ZONE) == compose(typed, lang, ZONE) == plain
    assert (plain.icon, plain.lines) == ("attention", ())


# --- typing, focus


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", "_"),
        ("MGY", "MGY_"),
        ("MGY-PF-2025", "MGY- PF- 2025_"),
        ("MGY-PF-20250115-7K3M9QX2V", "MGY- PF- 20250115- 7K3M 9QX2 V_"),
        ("VIP-PASS-4F7QK2ZD9", "VIP- PASS- 4F7Q K2ZD 9_"),
        ("7K3M9QX2VD5R", "7K3M 9QX2 VD5R_"),
    ],
)
def test_a_code_being_typed_is_grouped_as_it_is_printed(typed: str, shown: str) -> None:
    page = compose(Typing(text=typed, link=ONLINE), "en", ZONE)
    assert (page.headline, page.lines) == (shown, ("Enter: done",))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", "_"),
        ("MGY-PF-2025", "•••- ••- ••••_"),
        ("MGY-PF-20250115-7K3M9QX2V", "•••- ••- ••••••••- •••• •••• •_"),
        ("VIP-PASS-4F7QK2ZD9", "•••- ••••- •••• •••• •_"),
        ("A_Ñ?", "••••_"),
    ],
)
def test_a_veiled_code_has_a_dot_for_every_character_and_its_groups(typed: str, shown: str) -> None:
    page = compose(Typing(text=typed, link=OFFLINE), "en", ZONE)
    assert veiled(page) == replace(page, headline=shown)


def test_nothing_but_a_code_is_veiled() -> None:
    for name, screen in samples().items():
        page = compose(screen, "en", ZONE)
        assert (veiled(page) == page) == (not name.startswith("typing") or page.headline == "_")


def test_focus_shows_sharpness_the_best_so_far_and_whether_a_code_is_read() -> None:
    assert said(Focus(sharpness=287, best=412)) == ("287", "Best 412", "No code")
    assert said(Focus(sharpness=412, best=412, read=True), "es") == ("412", "Máx. 412", "Lee bien")


@pytest.mark.parametrize(
    ("sharpness", "best", "share"), [(0, 0, 0), (103, 412, 0.25), (412, 412, 1), (500, 412, 1)]
)
def test_the_bar_of_focus_is_full_at_the_best_so_far(sharpness: int, best: int, share: float) -> None:
    assert compose(Focus(sharpness=sharpness, best=best), "en", ZONE).share == share


# --- idle, notices, the mark


def idle(link: LinkView = ONLINE, event: str | None = "PERREO FRIDAYS", capacity: int = 500) -> Idle:
    now = datetime(2025, 2, 1, 5, 41, tzinfo=UTC)
    return Idle(event=event, gate_name="GATE 1", inside=234, capacity=capacity, now=now, link=link)


def test_idle_shows_event_gate_count_and_time() -> None:
    assert said(idle()) == ("PERREO FRIDAYS", "GATE 1", "In 234/500", "23:41")


def test_idle_without_event_or_capacity() -> None:
    assert said(idle(event=None, capacity=0)) == ("NO EVENT", "GATE 1", "In 234", "23:41")


def test_offline_idle_says_how_many_scans_wait() -> None:
    assert compose(idle(OFFLINE), "en", ZONE).banner == ("OFFLINE · 12 min", "37 scans waiting")
    assert compose(idle(replace(OFFLINE, waiting=1)), "en", ZONE).banner[1] == "1 scan waiting"
    assert compose(idle(replace(OFFLINE, waiting=0)), "es", ZONE).banner == ("SIN RED · 12 min",)


def test_an_isolated_gate_says_alone_instead_of_offline() -> None:
    alone = replace(OFFLINE, isolated=True)
    assert compose(idle(alone), "en", ZONE).banner == ("ALONE · 12 min", "37 scans waiting")
    assert compose(Notice(word="closed", link=alone), "es", ZONE).banner == ("AISLADA · 12 min",)


def test_an_old_list_is_shown_instead_of_full_reception() -> None:
    """The offline banner says how old the list is anyway."""
    old = LinkView(online=True, cache_age_s=83, stale=True)
    for screen in (idle(old), Notice(word="closed", link=old)):
        page = compose(screen, "en", ZONE)
        assert (page.banner, page.online) == (("OLD LIST · 1 min",), False)
    assert compose(idle(old), "es", ZONE).banner == ("LISTA VIEJA · 1 min",)
    assert compose(idle(replace(OFFLINE, stale=True)), "en", ZONE).banner[0] == "OFFLINE · 12 min"


def test_with_several_nights_the_count_names_its_night() -> None:
    matinee = replace(idle(), counted="MAT", inside=88, capacity=120)
    assert said(matinee) == ("PERREO FRIDAYS", "GATE 1", "MAT 88/120", "23:41")
    assert said(replace(matinee, capacity=0))[2] == "MAT 88"


def test_without_the_time_idle_says_so_and_names_the_night_it_assumes() -> None:
    unsure = replace(idle(), knows_time=False, doors=datetime(2025, 2, 1, 4, 0, tzinfo=UTC))
    assert said(unsure) == ("PERREO FRIDAYS", "GATE 1", "No time · Fri 31?", "--:--")
    assert said(replace(unsure, event=None, doors=None))[2] == "Clock not set"
    assert compose(unsure, "es", ZONE).lines[1] == "Sin hora · vie 31?"


def test_a_guest_is_sent_to_another_gate_without_calling_the_ticket_bad() -> None:
    verdict = Verdict(ruling=Ruling.DENY, reason=Reason.OTHER_GATE, line=11, other_gate="gate-2")
    assert said(VerdictScreen(verdict=verdict, place="GATE 2"))[0] == "PLEASE USE GATE 2"
    assert said(VerdictScreen(verdict=verdict))[0] == "PLEASE USE gate-2"
    assert said(VerdictScreen(verdict=replace(verdict, other_gate="")))[0] == "PLEASE USE ANOTHER GATE"
    assert compose(VerdictScreen(verdict=verdict), "en", ZONE).icon == "attention"


def test_a_gate_that_may_not_decide_alone_asks_for_staff() -> None:
    verdict = Verdict(ruling=Ruling.DENY, reason=Reason.ISOLATED, line=11)
    assert said(VerdictScreen(verdict=verdict)) == ("ONE MOMENT", "Ask staff")
    assert compose(VerdictScreen(verdict=verdict), "en", ZONE).icon == "attention"


def test_a_double_entry_names_both_gates_and_the_one_that_counts_first() -> None:
    at = datetime(2025, 2, 1, 4, 4, tzinfo=UTC)
    screen = DoubleEntry(
        counts=EntryPlace(gate="GATE 1", at=at), other=EntryPlace(gate="GATE 2", at=at + timedelta(minutes=1))
    )
    assert said(screen) == ("ENTERED TWICE", "GATE 1 22:04 · GATE 2 22:05", "See staff")
    assert compose(screen, "en", ZONE).seconds == 10.0


def test_a_text_from_staff_is_shown_as_written() -> None:
    assert said(StaffText(text="Wristbands to GATE 2")) == ("NOTICE", "Wristbands to GATE 2")


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (None, "no list"),
        (-5, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (48 * 3600, "2 d"),
    ],
)
def test_age_of_the_cache(seconds: int | None, age: str) -> None:
    page = compose(Notice(word="closed", link=LinkView(cache_age_s=seconds)), "en", ZONE)
    assert page.banner == (f"OFFLINE · {age}",)


@pytest.mark.parametrize("lang", ["en", "es"])
def test_every_screen_shows_whether_the_gate_is_online(lang: Lang) -> None:
    for screen in samples(lang).values():
        page = compose(screen, lang, ZONE)
        if not isinstance(screen, Focus):  # shown while the camera is set up, before there is a link
            assert page.online is (screen.link.online and not screen.link.stale)
            assert bool(page.banner) is not page.online


def test_out_of_order_says_what_is_broken_and_the_next_step_in_both_languages() -> None:
    broken = OutOfOrder(part=Part.JOURNAL, step=Step.DISK_FULL, link=ONLINE)
    assert said(broken) == ("DISK FAULT", "Free some space")
    assert said(broken, "es") == ("FALLA DE DISCO", "Libere espacio")


@pytest.mark.parametrize(
    ("screen", "headline", "icon"),
    [
        (Notice(word="starting"), "STARTING", "none"),
        (Notice(word="updating"), "UPDATING", "none"),
        (Notice(word="closed"), "CLOSED", "cross"),
        (Notice(word="free_passage"), "FREE PASSAGE", "check"),
        (Notice(word="see_staff"), "PLEASE SEE STAFF", "attention"),
        (Notice(word="annulled"), "NOBODY WENT IN", "attention"),
        (Notice(word="held_open"), "HELD OPEN", "check"),
        (Notice(word="slower"), "TOO MANY CODES", "attention"),
    ],
)
def test_each_notice_has_its_headline_and_icon(screen: Notice, headline: str, icon: str) -> None:
    page = compose(screen, "en", ZONE)
    assert (page.headline, page.icon) == (headline, icon)


def test_a_release_that_was_rolled_back_is_named_with_its_reason() -> None:
    page = compose(RolledBack(version="1.3.0", reason="No new frame"), "es", ZONE)
    assert (page.headline, page.lines) == ("NO ACTUALIZADO", ("1.3.0: No new frame",))
