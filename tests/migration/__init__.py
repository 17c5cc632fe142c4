"""Migrations and the committed schema."""
