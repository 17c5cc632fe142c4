"""`maguey-fleet`: the commands."""
