"""`maguey-hub`: the commands of the hub."""
