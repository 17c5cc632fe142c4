"""`maguey-gate`: the commands of the door."""
