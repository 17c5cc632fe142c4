"""Scans into Postgres: in batches, within the budgets of each gate."""
