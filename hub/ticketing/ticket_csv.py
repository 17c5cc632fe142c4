"""Reads a list of tickets that somebody exported from elsewhere: any bytes, one answer. Pure.

The first line names the columns. Separators are commas, semicolons or tabs, as spreadsheets write them.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from gate.common.text_file import NotTextError, decode_text
from gate.rules.payload import Code, parse
from hub.ticketing.night_plan import MOST_CENTS, cents_of

LARGEST_FILE = 16 * 2**20
MOST_TICKETS = 50_000
LONGEST_CELL = 1000
MOST_COLUMNS = 40
OWN_REFERENCE = "line:"
"""How the references begin that are made here for lines without one."""

_PHONE = re.compile(r"\+?[0-9 ()./-]{3,50}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the text around them (Unicode UAX 9): a name that rewrites the line it stands in."""


class TicketLine(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket to be. `line`: in the file. None: not given. `code` is a secret."""

    line: int
    event: str = ""
    type: str = ""
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    code: str | None = None
    price_cents: int | None = None
    reference: str | None = None

    def __repr__(self) -> str:
        return f"TicketLine(line={self.line})"


class Misread(msgspec.Struct, frozen=True):
    """What is wrong with a cell. `line` 0: with the file; `shown`: the cell, as it may be printed."""

    line: int
    column: str
    shown: str
    expected: str

    def __str__(self) -> str:
        """One line, for a person."""
        where = f"line {self.line}, " if self.line else ""
        column = f"{self.column}: " if self.column else ""
        shown = f"{self.shown} – " if self.shown else ""
        return f"{where}{column}{shown}{self.expected}"


class TicketList(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says. If there are complaints, nobody should rely on the lines."""

    lines: tuple[TicketLine, ...] = ()
    complaints: tuple[Misread, ...] = ()


class _Column(msgspec.Struct, frozen=True):
    """`read` returns the cell's value; None if it is not what `expected` says."""

    read: Callable[[str], str | int | None]
    expected: str


def is_shown_well(text: str, longest: int) -> bool:
    """Whether a text of a stranger is short enough and does nothing to the line it is printed in."""
    return len(text) <= longest and not any(
        unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} or letter in _DIRECTIONS for letter in text
    )


def _text(longest: int) -> _Column:
    said = f"expected at most {longest} characters in one line"
    return _Column(lambda cell: cell if is_shown_well(cell, longest) else None, said)


def _code(cell: str) -> str | None:
    code = parse(cell.encode(errors="replace"))
    return code.id if isinstance(code, Code) and code.carrier == "plain" and code.event_code else None


def _reference(cell: str) -> str | None:
    return cell if is_shown_well(cell, 100) and not cell.startswith(OWN_REFERENCE) else None


COLUMNS: Mapping[str, _Column] = {
    "event": _text(120),
    "type": _text(120),
    "name": _text(200),
    "email": _Column(
        lambda cell: cell if _EMAIL.fullmatch(cell) and is_shown_well(cell, 320) else None,
        "expected an address with one @ and at most 320 characters",
    ),
    "phone": _Column(
        lambda cell: cell if _PHONE.fullmatch(cell) else None,
        "expected 3 to 50 digits, spaces and + ( ) - . /",
    ),
    "code": _Column(_code, "expected a code like MGY-PF-20261204-7K3M9QX2VD5RTA0HQ"),
    "price": _Column(cents_of, f"expected a price like 25 or 25.00, below {MOST_CENTS // 100 + 1}"),
    "reference": _Column(
        _reference, f"expected at most 100 characters that do not begin with '{OWN_REFERENCE}'"
    ),
}
"""The columns of a list, in any order; all may be missing but `event`, and that too where it is given."""


def read_ticket_list(data: bytes, event: str = "") -> TicketList:
    """The tickets of a CSV file, or what is wrong with it. Never raises.

    :param event: the night of the lines that name none.
    """
    try:
        (first, heading), *rest = _bounded_rows(data)
    except NotTextError as error:
        return _refused(str(error))
    except csv.Error as error:
        return _refused(f"no list with columns: {error}")
    names = [cell.strip().lower() for cell in heading]
    if wrong := list(_heading_complaints(first, names, event)):
        return TicketList(complaints=tuple(wrong))
    return _together(
        [
            _line(number, dict(zip(names, cells, strict=False)), event, len(cells) - len(names))
            for number, cells in rest
        ]
    )


def _bounded_rows(data: bytes) -> list[tuple[int, list[str]]]:
    """The first row and at most `MOST_TICKETS` others. Raises `NotTextError`, `csv.Error`."""
    if len(data) > LARGEST_FILE:
        raise NotTextError(f"larger than {LARGEST_FILE // 2**20} MB. Split it.")
    rows = list(itertools.islice(_rows(decode_text(data)), MOST_TICKETS + 2))
    if len(rows) > MOST_TICKETS + 1:
        raise NotTextError(f"more than {MOST_TICKETS} lines. Split it.")
    if not rows:
        raise NotTextError("empty; expected a first line with the names of the columns")
    if (count := len(rows[0][1])) > MOST_COLUMNS:
        raise NotTextError(f"{count} columns; expected some of {', '.join(COLUMNS)}")
    return rows


def _refused(why: str) -> TicketList:
    return TicketList(complaints=(Misread(0, "", "", f"the file: {why}"),))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the number of its last line."""
    first = text.partition("\n")[0]
    separator = max(";,\t", key=first.count)
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:  # as Excel writes it
        separator = first.strip()[4]
        text = "\n" + text.partition("\n")[2]
    if separator not in ";,\t":
        raise csv.Error("expected commas, semicolons or tabs between its columns")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise csv.Error(f"{error}; see line {reader.line_num}") from None


def _heading_complaints(line: int, names: Sequence[str], event: str) -> Iterator[Misread]:
    known = f"expected columns of {', '.join(COLUMNS)}"
    for name in names:
        if name not in COLUMNS:
            yield Misread(line, "", _shown(name), known)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Misread(line, name, "", "there are several columns of this name")
    if "event" not in names and not event:
        yield Misread(line, "event", "", "is missing: add the column, or name the night with --event")


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:40] + "…")


def mask_code(code: str) -> str:
    """A code as it may be shown to somebody who need not enter with it: its last four letters."""
    head, _, secret = code.rpartition("-")
    return f"{head}-…{secret[-4:]}"


def _line(
    number: int, cells: Mapping[str, str], event: str, too_many: int
) -> tuple[TicketLine, list[Misread]]:
    values: dict[str, str | int] = {}
    wrong = [Misread(number, "", "", "more cells than columns")] if too_many > 0 else []
    for name, cell in cells.items():
        said = cell.strip()
        if not said:
            continue
        value = COLUMNS[name].read(said) if len(said) <= LONGEST_CELL else None
        if value is None:
            # of what may be somebody's code only the beginning, which is no secret
            shown = _shown(said if name != "code" else said[:12] + "…")
            wrong.append(Misread(number, name, shown, COLUMNS[name].expected))
        else:
            values["price_cents" if name == "price" else name] = value
    night = str(values.get("event", event))
    values["event"] = night.upper() if len(night) <= 6 else night.lower()  # a code or an id
    if not night:
        wrong.append(Misread(number, "event", "", "is empty; expected a night's code, for example PF"))
    return msgspec.convert(values | {"line": number}, TicketLine), wrong


def _together(read: Sequence[tuple[TicketLine, list[Misread]]]) -> TicketList:
    lines = tuple(line for line, _ in read)
    wrong = [one for _, complaints in read for one in complaints]
    wrong += _repeated(lines, "code", lambda line: line.code)
    wrong += _repeated(
        lines, "reference", lambda line: None if line.reference is None else (line.event, line.reference)
    )
    if not lines:
        wrong.append(Misread(0, "", "", "the file: no tickets, only the names of its columns"))
    return TicketList(lines=lines, complaints=tuple(sorted(wrong, key=lambda one: one.line)))


def _repeated(
    lines: Sequence[TicketLine], column: str, key: Callable[[TicketLine], object]
) -> Iterator[Misread]:
    first: dict[object, int] = {}
    for line in lines:
        value = key(line)
        if value is not None and first.setdefault(value, line.line) != line.line:
            yield Misread(line.line, column, "", f"the same as in line {first[value]}")
