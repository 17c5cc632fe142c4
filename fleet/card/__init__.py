"""The files that make a stock Raspberry Pi OS reachable over SSH."""
