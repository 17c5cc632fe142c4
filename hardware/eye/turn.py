"""Which of two frames the decoder looks at next, where a camera takes exposures in turn. Pure.

A decoder that takes as long as two frames, and always got the newest one, would look at every second frame,
and so at one exposure only.
"""

from __future__ import annotations


def waits_on(waiting: int, newest: int, last: int) -> bool:
    """Whether the frame that waits is looked at although there is a newer one: if only its turn has come.

    It is then older by at most as long as the decoder takes.

    :param waiting: the exposure of the frame that waits.
    :param newest: that of the newest frame.
    :param last: that of the frame which the decoder got last.
    """
    return waiting != last and newest == last
