"""The files that door and sync share on the device: journal, cache, status, locks."""
