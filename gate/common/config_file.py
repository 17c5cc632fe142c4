"""Where a command finds its configuration, and its text. For the programs of gate and hub alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gate.common.errors import ConfigError
from gate.common.text_file import NotTextError, decode_text

CONFIG_FOLDER = Path("/etc/maguey")
CONFIG_VARIABLE = "MAGUEY_CONFIG"
"""Names another file than the one in `CONFIG_FOLDER`; ``--config`` overrides both."""
LONGEST_CONFIG = 1024 * 1024
"""Bytes. A long one has a few thousand; what is larger is another file, and could take all memory."""


def config_place(name: str, environ: Mapping[str, str]) -> Path:
    """The configuration of a command that was called without ``--config``.

    :param name: of the file, ``gate.toml`` or ``hub.toml``.
    """
    return Path(environ.get(CONFIG_VARIABLE) or CONFIG_FOLDER / name)


def read_config_text(path: Path, made_by: str) -> str:
    """The file's text.

    :param made_by: the next step if there is none: how such a file is made.
    :raises ConfigError: it is missing or no text; the message says what to do.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_CONFIG + 1)
        if len(data) > LONGEST_CONFIG:
            raise ConfigError(f"{path}: larger than 1 MB: no configuration. Name another: --config FILE.")
        return decode_text(data)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. {made_by} Or name another: --config FILE.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder. Give the configuration file in it.") from None
    except NotTextError as error:
        raise ConfigError(f"{path}: {error}") from None
    except PermissionError:
        raise ConfigError(
            f"{path}: may not be read by this user. Call the command with sudo, or as the service's user."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}.") from None
