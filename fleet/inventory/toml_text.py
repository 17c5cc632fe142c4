"""Writes settings as TOML 1.0. Pure: the same settings give the same text, so nothing changes twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(settings: Mapping[str, Any], heading: str) -> str:
    """Settings as text. Values: text, numbers, booleans, lists of these, and sections of them.

    :param heading: comment lines, without their ``#``.
    """
    comment = [f"# {line}".rstrip() for line in heading.splitlines()]
    return "\n".join([*comment, "", *_lines(settings, "")]) + "\n"


def _lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            section = f"{name}.{_key(key)}" if name else _key(key)
            yield from ("", f"[{section}]", *_lines(value, section))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case int() | float():
            return repr(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a configuration")


def _text(value: str) -> str:
    # JSON's escapes are TOML's, and JSON leaves DEL as it is, which TOML forbids
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
