"""Selling and refunding tickets: orders, availability, cancellation of a night (domain 2.1, 2.2)."""
