"""``maguey-sync enrol``: this machine becomes a gate."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate.common.value import Value
from sync.identity.erasure import erased_mark
from sync.identity.files import IdentityFiles, check_issued, is_good, signing_request
from sync.identity.hub_line import EnrolError, fetch_authority, send_enrolment
from sync.wire.enrolment import (
    EnrolAnswer,
    EnrolRequest,
    EnrolToken,
    enrolment_statement,
    sha256_hex,
    ssh_of_ed25519,
)

HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key")
_LARGEST = 16 * 1024


class Applicant(Value, frozen=True):
    """Who wants to be which gate, and of which hub.

    :param own_token: what it will show from now on; a new secret, used unless an earlier run had one.
    """

    url: str
    gate_id: str
    token: EnrolToken
    own_token: str
    host_key: Ed25519PrivateKey


def enrolled_until(files: IdentityFiles, gate_id: str, now: datetime) -> datetime | None:
    """Until when this machine is that gate already, once an earlier run is finished; None: it is not."""
    files.finish()
    there = files.certificate_in_use()
    if there is None or not is_good(there, gate_id, now) or not files.token.exists():
        return None
    return there.not_valid_after_utc


def enrol(files: IdentityFiles, applicant: Applicant) -> EnrolAnswer:
    """Become a gate. The key is made here and stays here; so does the token, of which the hub gets the hash.

    Cut off anywhere, it goes on with the same key and token, which the hub accepts as the same request.

    :raises EnrolError: the hub refuses, or cannot be reached or believed. IdentityError: the files cannot be
        written.
    """
    files.make_folder()
    authority = files.keep_authority(fetch_authority(applicant.url, applicant.token.authority))
    key = files.new_key()
    said = _said(applicant, key, files.new_token(applicant.own_token))
    answer = send_enrolment(applicant.url, authority, said)
    check_issued(answer.certificate, authority, key, applicant.gate_id)
    files.install(answer.certificate)
    erased_mark(files).unlink(missing_ok=True)
    return answer


def read_host_key(file: Path) -> Ed25519PrivateKey:
    """The machine's SSH host key, which shows that it is the machine the token was made for.

    :raises EnrolError: there is none, or this user may not read it.
    """
    try:
        with file.open("rb") as opened:
            found = serialization.load_ssh_private_key(opened.read(_LARGEST), password=None)
    except OSError as error:
        raise EnrolError(
            f"{file}: {error.strerror}. Run this as root; a missing key is made by ssh-keygen -A."
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise EnrolError(f"{file}: this is no SSH key without a passphrase.") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise EnrolError(f"{file}: not an Ed25519 key. Name that one with --host-key.")
    return found


def _said(applicant: Applicant, key: ec.EllipticCurvePrivateKey, token: str) -> EnrolRequest:
    unsigned = EnrolRequest(
        gate_id=applicant.gate_id,
        token=applicant.token.secret,
        request=signing_request(key),
        token_sha256=sha256_hex(token),
        host_key=_base64(ssh_of_ed25519(applicant.host_key.public_key().public_bytes_raw())),
        signature="",
    )
    return unsigned.signed(_base64(applicant.host_key.sign(enrolment_statement(unsigned))))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
