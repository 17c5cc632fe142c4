"""A gate's certificate is renewed by sync itself, at two thirds of its life."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cryptography import x509

from gate.common.outage import Outage
from gate.rules.model import Now
from sync.broker.tls import is_lost
from sync.identity.files import IdentityError, IdentityFiles, check_issued, signing_request

CHECK_MS = 3_600_000
"""How often to look, and to ask again after the hub refused."""


class CertificateRenewal:
    """Decides when, makes the new key, and puts it into use once the hub has signed for it.

    :param ask: sends a signing request to the hub.
    """

    def __init__(self, files: IdentityFiles, gate_id: str, ask: Callable[[str], None]) -> None:
        self._ask = ask
        self._files = files
        self._gate_id = gate_id
        self._check_at = 0
        self._outage = Outage("certificate renewal")

    def turn(self, now: Now) -> None:
        """Ask for another certificate if it is time. Looks at the files every `CHECK_MS`."""
        if now.monotonic_ms < self._check_at:
            return
        self._check_at = now.monotonic_ms + CHECK_MS
        try:
            there = self._files.certificate_in_use()
            if there is not None and not is_lost(now.wall) and renewal_is_due(there, now.wall):
                self._ask(signing_request(self._files.new_key()))
        except IdentityError as error:
            self._outage.began(error)

    def take(self, certificate: str) -> bool:
        """The hub has signed. Returns whether it is in use now: then connect again."""
        try:
            key = self._files.new_key()
            check_issued(certificate, self._files.authority, key, self._gate_id)
            self._files.install(certificate)
        except IdentityError as error:
            self._outage.began(error)
            return False
        self._outage.over()
        return True


def renewal_is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether two thirds of its life are over."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return now >= begins + (ends - begins) * 2 / 3
