"""Checks and opens the journal, and salvages a damaged one (docs/adr/0012-a-damaged-journal.md)."""
