"""HTTP to a hub that does not know this machine yet, nor this machine the hub.

The first question goes to whoever answers: what it returns is believed only if the token names its SHA-256.
From then on the hub is verified with that authority, as always.
"""

from __future__ import annotations

import hmac
import ssl
import warnings
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from gate.common.errors import MagueyError
from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value
from sync.broker.tls import context
from sync.feed.http_session import HubSession
from sync.feed.transfer_meter import TransferLimitError, TransferMeter
from sync.wire.enrolment import LIMIT, EnrolAnswer, EnrolRequest

ANSWER_S = 60.0
_READ_S = 20.0


class EnrolError(MagueyError):
    """This machine was not enrolled. The message says why, and what to do."""


class _Problem(Value, frozen=True):
    detail: str = ""


def fetch_authority(url: str, digest: str) -> str:
    """The authority's certificate, in PEM.

    :param digest: its SHA-256, from the token.
    :raises EnrolError: nobody answers, or not the hub that made the token.
    """
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)  # the digest below is what verifies it
        body = _ask(f"{url}/api/authority", unverified, None, verify=False)
    try:
        found = x509.load_pem_x509_certificate(body)
    except ValueError:
        raise EnrolError(f"{url}: what answers there is not a hub of this version.") from None
    if not hmac.compare_digest(found.fingerprint(hashes.SHA256()).hex(), digest):
        raise EnrolError(
            f"{url}: this is not the hub that made the token: its authority is another. The token was not "
            "sent. Check --hub; if that is right, somebody is between this machine and the hub."
        )
    return body.decode("ascii")


def send_enrolment(url: str, authority: Path, said: EnrolRequest) -> EnrolAnswer:
    """Become a gate. Raises `EnrolError`."""
    checks, asked = context(str(authority), datetime.now(UTC)), msgspec.json.encode(said)
    body = _ask(f"{url}/api/gates/enroll", checks, asked, verify=str(authority))
    try:
        return read_json(body, EnrolAnswer, limit=LIMIT)
    except UnreadableError as error:
        raise EnrolError(
            f"{url}: the answer cannot be read: {error}. Do hub and gate run the same version?"
        ) from None


def hub_address(text: str) -> str:
    """The hub's address as it is used. Raises `ValueError`, with what was expected."""
    parts = urlsplit(text.strip())
    if (
        parts.scheme != "https"
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or "@" in parts.netloc
    ):
        raise ValueError("expected https:// and the hub's name or address, for example https://hub.club:8443")
    return f"https://{parts.netloc}"


def _ask(url: str, checks: ssl.SSLContext, body: bytes | None, verify: bool | str) -> bytes:
    meter = TransferMeter()
    meter.begin(ANSWER_S)
    with HubSession(meter) as session:
        session.check_with(checks)
        session.verify = verify  # or requests would add the authorities it brings
        session.headers["Accept-Encoding"] = "identity"
        try:
            return _answer(session, url, body)
        except (requests.RequestException, HTTPError, HTTPException, TransferLimitError, OSError) as error:
            raise EnrolError(f"{url}: {_why(error)}. Is the hub's web server running there?") from None


def _answer(session: HubSession, url: str, body: bytes | None) -> bytes:
    method, headers = ("GET", {}) if body is None else ("POST", {"Content-Type": "application/json"})
    with session.request(
        method, url, data=body, headers=headers, timeout=_READ_S, stream=True, allow_redirects=False
    ) as answer:
        content: bytes = answer.raw.read(LIMIT + 1, decode_content=False)
        if answer.status_code != requests.codes.ok:
            raise EnrolError(f"The hub refuses ({answer.status_code}): {_detail(content) or answer.reason}")
    if len(content) > LIMIT:
        raise EnrolError(f"{url}: an answer of more than {LIMIT} bytes. Is that the hub?")
    return content


def _detail(content: bytes) -> str:
    """The hub's own words, as far as a terminal may show them."""
    try:
        said = read_json(content, _Problem, limit=LIMIT).detail
    except UnreadableError:
        return ""
    return "".join(c if c.isprintable() else "?" for c in said[:500])


def _why(error: Exception) -> str:
    """The library's last words: they name the cause, and before them the same in other words."""
    text = str(error)
    if "certificate verify failed" in text:
        return "its certificate is not of the token's authority, or not for this name"
    return text.rpartition(": ")[2].rstrip("')\"(") or type(error).__name__
