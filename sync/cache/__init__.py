"""Writes the gate's `cache.db`: who the hub says may enter, and whom other gates admitted."""
