"""From which contrast on a picture shows something. The door's own process imports it: nothing heavy here."""

FLAT = 8
"""Grey values within which a frame shows nothing (zxing-cpp wants 24 within a code): a covered lens and
a dark room may look alike for hours."""
