"""Scans into Postgres: in batches, within the share of each gate."""
