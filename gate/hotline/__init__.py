"""The door's end of the local socket to sync, and the messages on it."""
