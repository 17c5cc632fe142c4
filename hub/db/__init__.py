"""Postgres: connections, named statements, typed calls, migrations and objects."""
