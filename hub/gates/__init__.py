"""The gates: their state, orders to them, their keys, their rights at the broker."""
