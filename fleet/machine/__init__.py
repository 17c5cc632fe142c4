"""One machine over SSH."""
