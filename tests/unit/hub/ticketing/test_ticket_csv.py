"""A list of tickets is read or complained about, whatever its bytes."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ticketing import ticket_csv
from hub.ticketing.ticket_csv import (
    COLUMNS,
    LARGEST_FILE,
    MOST_TICKETS,
    TicketLine,
    mask_code,
    read_ticket_list,
)

CODE = "MGY-PF-20261204-ABCDEFGH"
ANA = TicketLine(line=2, event="PF", name="Peña; Ana", email="ana@example.org", price_cents=2550)


def complaints(text: str | bytes, event: str = "") -> list[str]:
    found = read_ticket_list(text if isinstance(text, bytes) else text.encode(), event)
    assert found.complaints
    return [str(one) for one in found.complaints]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize(
    "text",
    [
        'Event,name,email,price\nPF,"Peña; Ana",ana@example.org,25.5\n',
        'event;NAME;email;price\r\npf;"Peña; Ana";ana@example.org;25,50\r\n\r\n',
        "email\tname\t event \tprice\nana@example.org\tPeña; Ana\tPF\t25.50",
    ],
    ids=["commas", "semicolons", "tabs"],
)
def test_what_spreadsheets_write_is_read(text: str, mark: str) -> None:
    found = read_ticket_list((mark + text).encode())
    assert (found.lines, found.complaints) == ((ANA,), ())


def test_the_line_in_which_excel_names_the_separator_is_no_heading() -> None:
    assert read_ticket_list(b"sep=;\r\nevent;name\r\nPF;Bo\r\n").lines == (
        TicketLine(line=3, event="PF", name="Bo"),
    )


def test_each_mistake_is_named_with_line_column_value_and_what_was_expected() -> None:
    text = (
        "event,name,email,phone,code,price,reference\n"
        f'PF,"B\no",nobody,12,MGY,-1,line:1\nPF,Zoe,,,{CODE},,r1\n\nPF,Zoe,,,{CODE.lower()},,r1\n,x,,,,,,more\n'
    )
    assert complaints(text) == [
        "line 3, name: 'B\\no' – expected at most 200 characters in one line",
        "line 3, email: 'nobody' – expected an address with one @ and at most 320 characters",
        "line 3, phone: '12' – expected 3 to 50 digits, spaces and + ( ) - . /",
        "line 3, code: 'MGY…' – expected a code like MGY-PF-20261204-7K3M9QX2VD5RTA0HQ",
        "line 3, price: '-1' – expected a price like 25 or 25.00, below 1000000",
        "line 3, reference: 'line:1' – expected at most 100 characters that do not begin with 'line:'",
        "line 6, code: the same as in line 4",
        "line 6, reference: the same as in line 4",
        "line 7, more cells than columns",
        "line 7, event: is empty; expected a night's code, for example PF",
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"event,name\n", "no tickets"),
        ("event,name\nPF,Peña\n".encode("latin-1"), "not a text file in UTF-8: see line 2"),
        ("event\nPF\n".encode("utf-16"), "saved as UTF-16"),
        (b"event,nombre\nPF,x\n", "'nombre' – expected columns of event, type"),
        (b"name,name\nAna,Ana\n", "event: is missing"),
        (b'event,name\nPF,"a"b\n', "see line 2"),
        (b"event,name\n" + b"PF,x\n" * (MOST_TICKETS + 1), "more than 50000"),
        (b"a" + b"," * 1000, "1001 columns"),
        (b"x" * (LARGEST_FILE + 1), "larger than 16 MB"),
        (b"event,name\nPF," + b"x" * 200_000, "field larger than"),
    ],
)
def test_what_is_no_list_is_refused_in_words(data: bytes, says: str) -> None:
    assert says in "\n".join(complaints(data))


@pytest.mark.parametrize("name", ["Ana\u202eaniloraC", "Ana\x1b[2J", "x" * 201, "a\u2028b"])
def test_a_name_that_would_change_the_line_it_is_printed_in_is_refused(name: str) -> None:
    assert complaints(f'event,name\nPF,"{name}"\n')[0].startswith("line 2, name:")


@pytest.mark.parametrize("name", ["👩‍👩‍👧 Family", "نرگس‌ها", "O'Neill-Nguyễn"])
def test_names_of_all_the_world_are_read(name: str) -> None:
    assert read_ticket_list(f"name\n{name}\n".encode(), "PF").lines[0].name == name


def test_no_code_is_in_a_complaint_or_a_representation() -> None:
    text = f"event,code\nPF,{CODE}\nPF,{CODE}\nPF,{CODE}9.K1{'A' * 40}\n"
    assert "ABCDEFGH" not in "\n".join(complaints(text))
    assert "ABCDEFGH" not in repr(read_ticket_list(text.encode()))
    assert mask_code("MGY-PF-20261204-7K3M9QX2VD5RTA0HQ") == "MGY-PF-20261204-…A0HQ"


CELLS = st.sampled_from(
    ["PF", "Ana", "ana@x.org", "25,00", CODE, '"', "'", "\n", ";", "=1+1", "🪩", "\u202e"]
)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(str.encode),
        st.lists(st.lists(CELLS | st.text(max_size=5), max_size=9), max_size=5).map(
            lambda rows: "\n".join([",".join(COLUMNS), *map(",".join, rows)]).encode()
        ),
    ),
    st.sampled_from(["", "PF"]),
)
def test_any_bytes_are_a_list_or_a_complaint(data: bytes, event: str) -> None:
    found = read_ticket_list(data, event)
    assert found.complaints or found.lines
    assert all("\n" not in str(one) for one in found.complaints)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"name": st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=40)}
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_was_written_as_csv_is_read_as_it_was(rows: list[dict[str, str]]) -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["name"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    assert [line.name for line in read_ticket_list(out.getvalue().encode(), "PF").lines] == [
        row["name"] for row in rows
    ]


def test_the_columns_of_the_help_are_those_that_are_read() -> None:
    from hub.cli.ticket_lists import tickets_import

    assert ticket_csv.MOST_TICKETS == 50_000
    assert all(f" {column}" in (tickets_import.__doc__ or "") for column in COLUMNS)
