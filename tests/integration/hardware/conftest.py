"""Eyes that are patient with their children: one that is slow to start or to answer does not hang."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hardware.eye import keeper as workers
from hardware.eye.eye import ChildEye
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """A test about a limit sets that limit itself."""
    defaults = ChildEye.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("decoder_deadline_s", "camera_deadline_s"):
            patch.setitem(defaults, limit, PATIENCE_S)
        for role in workers.START_S:
            patch.setitem(workers.START_S, role, PATIENCE_S)
        yield
