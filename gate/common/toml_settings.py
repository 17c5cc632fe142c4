"""Read a TOML configuration and report every mistake at once.

Used by the gate and by the hub. Pure: text in, a frozen value out. msgspec stops at the
first mistake, so here each key is checked by itself, and for a misspelt key the message
suggests the nearest known one (compare Mopidy's `config/schemas.py`). Whatever stands in the file, the
answer is a value or a `ConfigError`: texts, lists and the mistakes listed are bounded here, numbers by their
fields.
"""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from gate.common.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)
LONGEST_TEXT = 1024
"""Characters of a text; a path on Linux is rarely longer than 100."""
LARGEST_NUMBER = 2**63 - 1
"""Of whole numbers; Python does not print those of thousands of digits."""
MOST_ENTRIES = 100
"""Of a list, or of a section whose keys are free."""
MOST_LISTED = 40
"""Mistakes; a file with more is another file."""
ConfigCheck = Callable[[Any], Iterator[str]]


def load_settings(text: str, shape: type[T], name: str, check: ConfigCheck | None = None) -> T:
    """Turn TOML text into `shape`.

    :param name: what the message calls the file.
    :param check: yields further mistakes of a value whose keys are all well-formed.
    :raises ConfigError: one line per mistake, with the key and what was expected or the nearest key.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}. Correct that line and try again.") from None
    except RecursionError:
        raise ConfigError(f"{name}: not valid TOML: nested too deeply.") from None
    except ValueError:  # Python's limit for the digits of an integer
        raise ConfigError(f"{name}: not valid TOML: a number has thousands of digits.") from None
    problems = settings_problems(data, shape, check)
    if not problems:
        return msgspec.convert(data, shape)
    raise ConfigError(_listed(name, problems))


def _listed(name: str, problems: list[str]) -> str:
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    if len(problems) > MOST_LISTED:
        count = f"more than {MOST_LISTED} mistakes, the first of them"
    return f"{name}: {count}:\n" + "\n".join(f"  {problem}" for problem in problems[:MOST_LISTED])


def settings_problems(
    data: dict[str, Any], shape: type[msgspec.Struct], check: ConfigCheck | None = None
) -> list[str]:
    """Every mistake, each as ``key: what is wrong``; of many, the first. `check`: as in `load_settings`."""
    problems = list(itertools.islice(_problems(data, shape, ""), MOST_LISTED + 1))
    if not check or len(problems) > MOST_LISTED:
        return problems
    if not problems:
        return list(check(msgspec.convert(data, shape)))
    return problems + _further(data, shape, check, [problem.split(":")[0] for problem in problems])


def _further(
    data: dict[str, Any], shape: type[msgspec.Struct], check: ConfigCheck, wrong: list[str]
) -> list[str]:
    """What `check` finds besides the wrong keys, asked as if those were left out.

    What it says of a key left out is dropped. If a required key is wrong, it cannot be asked at all.
    """
    try:
        value = msgspec.convert(_without(data, wrong, ""), shape)
    except msgspec.ValidationError:
        return []
    return [problem for problem in check(value) if problem.split(":")[0] not in wrong]


def _without(data: dict[str, Any], wrong: list[str], prefix: str) -> dict[str, Any]:
    kept = {key: value for key, value in data.items() if prefix + key not in wrong}
    return {
        key: _without(value, wrong, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in kept.items()
    }


def _problems(data: Mapping[str, Any], shape: type[msgspec.Struct], prefix: str) -> Iterator[str]:
    known = {field.encode_name: field for field in fields(shape)}
    for key, value in data.items():
        if key in known:
            yield from _value_problems(value, known[key], prefix + key)
        else:
            yield f"{prefix}{_shown(key)}: unknown key.{_nearest(key, known)}"
    for key, field in known.items():
        if key not in data and field.required:
            yield f"{prefix}{key}: missing; expected {_expected(field)}."


def _value_problems(value: Any, field: FieldInfo, key: str) -> Iterator[str]:
    section = _section(field)
    if section is not None and isinstance(value, dict):
        yield from _problems(value, section, key + ".")
        return
    if too_much := _too_much(value):
        yield f"{key}: {too_much}."
        return
    shape = _shape_of_each(field)
    if shape is not None and isinstance(value, dict):
        yield from _problems_of_each(value, shape, key)
        return
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        choices = get_args(field.type) if get_origin(field.type) is Literal else ()
        expected = f"expected one of {', '.join(map(repr, choices))}." if choices else _plain(str(error))
        yield f"{key}: {_quoted(value)} is wrong; {expected}" if choices else f"{key}: {expected}"


def _too_much(value: Any) -> str:
    """What no configuration can mean, or no file name may hold; empty if there is nothing of it."""
    if isinstance(value, (list, dict)):
        if len(value) > MOST_ENTRIES:
            return f"{len(value)} entries; expected at most {MOST_ENTRIES}"
        inside = [*value, *(value.values() if isinstance(value, dict) else ())]
        return next(filter(None, (_too_much(one) for one in inside if isinstance(one, (str, int)))), "")
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return "a number that large means nothing here"
    if not isinstance(value, str):
        return ""
    if len(value) > LONGEST_TEXT:
        return f"{len(value)} characters; expected at most {LONGEST_TEXT}"
    return "holds a zero byte" if "\0" in value else ""


def _shown(text: str) -> str:
    """A key of the file as it can stand in a line."""
    return text if len(text) <= 64 and text.isprintable() else repr(text[:64])


def _quoted(value: Any) -> str:
    """A value as it can stand in a line."""
    return repr(value[:64] if isinstance(value, str) else value)


def _section(field: FieldInfo) -> type[msgspec.Struct] | None:
    is_section = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    return field.type if is_section else None


def _shape_of_each(field: FieldInfo) -> type[msgspec.Struct] | None:
    """Of a table of sections, such as one for each gate: the shape of each."""
    table = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
    each = get_args(table)[1] if get_origin(table) is dict else None
    return each if isinstance(each, type) and issubclass(each, msgspec.Struct) else None


def _problems_of_each(sections: dict[str, Any], shape: type[msgspec.Struct], key: str) -> Iterator[str]:
    for name, section in sections.items():
        if isinstance(section, dict):
            yield from _problems(section, shape, f"{key}.{_shown(name)}.")
        else:
            yield f"{key}.{_shown(name)}: expected a section [{key}.{_shown(name)}]."


def _nearest(key: str, known: Mapping[str, FieldInfo]) -> str:
    near = difflib.get_close_matches(key[:64], known, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else f" Known here: {', '.join(sorted(known))}."


def _expected(field: FieldInfo) -> str:
    if _section(field) is not None:
        return f"a section [{field.encode_name}]"
    return _type_name(field.type)


def _type_name(hint: Any) -> str:
    base = getattr(hint, "__origin__", hint)
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(base, str(hint))


def _plain(message: str) -> str:
    words = {"`str`": "text", "`int`": "a whole number", "`float`": "a number", "`bool`": "true or false"}
    for technical, plain in words.items():
        message = message.replace(technical, plain)
    return message.split(" - at ")[0] + "."
