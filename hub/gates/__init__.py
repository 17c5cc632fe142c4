"""The gates themselves: how they are, orders to them, their keys, their place on the broker."""
