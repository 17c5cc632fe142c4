"""How a release is looked at on the hub: its services, and whether its web interface is ready."""

from __future__ import annotations

import http.client
import ssl
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.release.judgement import Complaint, HubReading, first_complaint, hub_complaints
from fleet.release.programs import WRONG_CONFIGURATION, ProbeError, ask_program
from fleet.release.unit_probes import UnitProbes
from gate.common.value import Value

GATES_S = 60.0
READY_S = 10.0
_USER = "maguey-hub"


class WebPlace(Value, frozen=True):
    """Where the hub's web interface listens, as this machine reaches it."""

    host: str = "127.0.0.1"
    port: int = 8080
    is_tls: bool = False


class HubProbes:
    """`fleet.release.trial.Probes` of a hub.

    :param program: where a release has its `maguey-hub`.
    """

    def __init__(self, program: Callable[[str], Path], units: UnitProbes, config: Path) -> None:
        self._program, self._units, self._config = program, units, config

    def refusal(self, version: str) -> str:
        """See `Probes`. A release may find its tables missing: they are made when it starts."""
        try:
            answer = ask_program(self._program(version), ["gate", "list", "--json"], GATES_S, _USER)
        except ProbeError as error:
            return f"It gives no answer: {error}."
        if answer.code == WRONG_CONFIGURATION:
            return f"It cannot use this hub's configuration: {answer.said}"
        return "" if answer.code in (0, 1) else f"It ended with {answer.code}: {answer.said}"

    def is_quiet(self) -> bool:
        """See `Probes`. Gates go on without a hub, so any moment is good."""
        return True

    def note_before(self, version: str) -> None:
        """See `Probes`. The services are asked the same whatever was before."""

    def look(self, share: float) -> Complaint:
        """See `Probes`."""
        broken = self._units.look(share)
        if broken.fatal:
            return broken
        mine = hub_complaints(HubReading(web=web_trouble(web_place(self._config))))
        return first_complaint(iter([broken, *mine]))


def web_place(config: Path) -> WebPlace:
    """Read from `hub.toml`; of one that cannot be read the services complain by themselves."""
    try:
        web = tomllib.loads(config.read_text("utf-8")).get("web", {})
        host, is_tls = str(web.get("host", "127.0.0.1")), bool(web.get("cert_file"))
        port = int(web.get("port", 8443 if is_tls else 8080))
    except (OSError, ValueError, AttributeError, TypeError):
        return WebPlace()
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 – where it listens, not we
    return WebPlace(host=here, port=port, is_tls=is_tls)


def web_trouble(place: WebPlace) -> str:
    """Why ``/readyz`` does not answer 200; empty if it does."""
    connection = _connection(place)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(300).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return f"/readyz: {error or type(error).__name__}."
    finally:
        connection.close()
    return "" if answer.status == http.HTTPStatus.OK else f"/readyz answers {answer.status}: {body.strip()}"


def _connection(place: WebPlace) -> Any:
    if not place.is_tls:
        return http.client.HTTPConnection(place.host, place.port, timeout=READY_S)
    context = ssl.create_default_context()
    context.check_hostname = False  # this machine asks itself, and its certificate names the venue's address
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(place.host, place.port, timeout=READY_S, context=context)
