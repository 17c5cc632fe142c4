"""A USB keypad for codes that nobody can scan, read from its event device."""
