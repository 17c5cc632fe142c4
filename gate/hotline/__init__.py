"""The door's end of the local socket to sync, and what the two say to each other on it."""
