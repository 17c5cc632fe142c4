"""Tests with real Mosquitto, Postgres and SQLite."""
