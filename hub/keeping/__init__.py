"""Retention, and the work of every hour."""
