"""The configuration of a gate that is measured as real processes."""

from __future__ import annotations

from pathlib import Path

from bench.bed import GATE_ID


def write_gate_file(home: Path, hub_url: str = "http://127.0.0.1:1", broker_port: int = 1) -> Path:
    """Write ``gate.toml`` for a gate that has all its files in `home`; by default nobody answers it.

    It looks at pictures in ``camera``, and notes each pulse of its relay in ``trace``.
    """
    (home / "token").write_text("none")
    config = home / "gate.toml"
    config.write_text(f"""gate_id = "{GATE_ID}"
venue = "maguey"
state_dir = "{home}/state"
runtime_dir = "{home}/run"
lang = "en"
timezone = "UTC"
log = "json"
[camera]
driver = "folder"
path = "{home}/camera"
hold_ms = 120
[screen]
driver = "file"
path = "{home}/screen.png"
[turnstile]
driver = "mock"
pulse_ms = 50
trace = "{home}/trace"
[hub]
url = "{hub_url}"
token_file = "{home}/token"
broker_port = {broker_port}
""")
    return config
