"""Opens the journal; checks a damaged one and puts it together again (docs/adr/0012-a-damaged-journal.md)."""
