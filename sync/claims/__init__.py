"""Carries claims and orders between the door's local socket and the hub."""
