"""Tickets sold and given back: orders, what is left, and the cancellation of a night (domain 2.1, 2.2)."""
