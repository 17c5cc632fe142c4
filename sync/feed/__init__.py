"""Fetches from the hub who may enter, and writes it into the cache."""
