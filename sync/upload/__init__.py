"""Sends the journal to the hub."""
