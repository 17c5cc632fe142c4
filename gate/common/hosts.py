"""Whether a text names a machine that a connection can be made to. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LONGEST_NAME = 253
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def is_host(text: str) -> bool:
    """A name (RFC 1123, 2.1; with the underscores that some routers give) or an IP address.

    Anything else would be an error of Python's and not of the network, and much later.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        if len(text) > _LONGEST_NAME or labels[-1].isdecimal():  # 192.168.7.500
            return False
        return all(_LABEL.fullmatch(label) for label in labels)
    return True


def is_web_address(text: str) -> bool:
    """``http://`` or ``https://``, a machine, perhaps a port and a path; no user, no question mark."""
    try:
        parts = urlsplit(text)
        wrong = (parts.username, parts.query, parts.fragment, parts.port == 0)
    except ValueError:
        return False
    is_plain = text.isascii() and text.isprintable() and " " not in text and not any(wrong)
    return is_plain and parts.scheme in {"http", "https"} and is_host(parts.hostname or "")
