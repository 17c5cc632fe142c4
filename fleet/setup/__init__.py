"""From a blank machine to a working gate or hub."""
