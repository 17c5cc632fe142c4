"""The journal's way to the hub."""
