"""What a picture file is called outside its folder. Imports nothing heavy: the eye uses it too.

A picture may be named after the ticket on it, and a ticket's id is as good as the ticket. So a short hash
of the name is logged or handed on, not the name.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePath

_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp"})


def alias(name: str) -> str:
    """``file:1a2b3c4d.png`` for a file of this name: always the same, and it reveals nothing.

    An ending that is not a picture's is left out, since it may be anything.
    """
    ending = PurePath(name).suffix.lower()
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f"file:{digest[:8]}{ending if ending in _ENDINGS else ''}"


def file_url(name: str) -> str:
    """``file:letter.png``: for the person who gave the name. Bytes that are not text are replaced."""
    return f"file:{os.fsencode(name).decode(errors='replace')}"
