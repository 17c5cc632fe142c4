"""A USB hand scanner, as a keyboard or as a serial device."""
