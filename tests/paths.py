"""Where things are in this repository, for tests in whatever folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
