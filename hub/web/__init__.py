"""The hub's HTTP side, and its bounds against strangers."""
