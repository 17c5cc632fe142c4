"""Records through JSON: a reason is read back as a member of its own enum."""

from __future__ import annotations

import msgspec
import pytest

from gate.rules.model import EventKind, Reason, RecordReason, ScanRecord
from tests.factories import a_record


@pytest.mark.parametrize("reason", [*Reason, *EventKind])
def test_a_reason_is_read_back_as_the_member_it_was(reason: RecordReason) -> None:
    sent = msgspec.json.encode(a_record(reason=reason))
    assert msgspec.json.decode(sent, type=ScanRecord).reason is reason


def test_reasons_and_kinds_of_events_share_no_word() -> None:
    assert not {reason.value for reason in Reason} & {kind.value for kind in EventKind}


def test_a_reason_nobody_knows_is_refused() -> None:
    sent = msgspec.json.encode(a_record()).replace(b"first_entry", b"no_such_reason")
    with pytest.raises(msgspec.ValidationError, match="no_such_reason"):
        msgspec.json.decode(sent, type=ScanRecord)
