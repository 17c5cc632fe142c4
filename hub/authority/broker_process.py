"""How the broker is told that its files are new: by a signal, as ``systemctl reload`` does it.

The authority's service is not root. It may send signals (CAP_KILL), so it looks whom it sends one.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from hub.authority.folders import AuthorityError, read_short

_NAME = b"mosquitto\n"


def reload_broker(pid_file: Path) -> bool:
    """Have Mosquitto read its certificates and the revocation list again; sessions stay (tried on 2.0.11).

    :returns: False if it does not run: it reads everything when it starts.
    :raises AuthorityError: it may not be told.
    """
    return _send(pid_file, signal.SIGHUP)


def restart_broker(pid_file: Path) -> bool:
    """Have Mosquitto end; systemd starts it again (mosquitto.service.d/maguey.conf). As `reload_broker`.

    Only this makes it read the list of gates (2.0.11).
    """
    return _send(pid_file, signal.SIGTERM)


def _send(pid_file: Path, what: signal.Signals) -> bool:
    try:
        pid = int(read_short(pid_file))
        if pid <= 1 or read_short(Path(f"/proc/{pid}/comm")) != _NAME:
            return False
        os.kill(pid, what)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    except OSError as error:
        raise AuthorityError(
            f"Mosquitto ({pid_file}) could not be told that its files are new: {error.strerror}. Run the "
            "authority by its unit, which may, and install mosquitto.service.d/maguey.conf. Until then: "
            "systemctl reload mosquitto; after a gate was added: systemctl restart mosquitto."
        ) from None
    return True
