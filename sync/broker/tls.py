"""How a gate verifies its peer and identifies itself, even when it does not know the time.

A Pi without a clock starts in 1970, where no certificate is valid yet. It could then never reach the hub, the
only one to tell it the time. So while the clock is certainly wrong, expiry is not checked; authority, name
and signature are. The broker, whose clock is right, checks the gate's own certificate, including expiry and
revocation.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""This software did not exist before; an earlier time is wrong."""
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (OpenSSL 1.1.0, x509_vfy.h); Python has no name for it."""


def context(ca_file: str, now: datetime, cert_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """The TLS context of a client.

    :param ca_file: the authority's certificate; empty: the authorities of the system.
    :param now: by the machine's clock, right or wrong.
    :raises OSError, ssl.SSLError: a file cannot be used.
    """
    made = ssl.create_default_context(cafile=ca_file or None)
    if cert_file:
        made.load_cert_chain(cert_file, key_file)
    if is_lost(now, cert_file):
        made.verify_flags |= NO_CHECK_TIME
    return made


def is_lost(now: datetime, cert_file: str = "") -> bool:
    """Whether this cannot be the time: before `BUILT`, or before the gate's own certificate was issued."""
    if now < BUILT:
        return True
    if not cert_file:
        return False
    try:
        own = x509.load_pem_x509_certificate(Path(cert_file).read_bytes())
    except (OSError, ValueError):
        return False  # reported when it is used
    return now < own.not_valid_before_utc
