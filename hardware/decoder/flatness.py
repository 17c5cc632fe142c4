"""From which contrast on a picture shows something. Imports nothing heavy: the door's process uses it too."""

FLAT = 8
"""A frame whose grey values differ by less shows nothing (zxing-cpp needs 24 within a code): a covered lens
and a dark room may look the same for hours."""
