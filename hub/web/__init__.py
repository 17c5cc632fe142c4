"""The hub's HTTP server, and its limits for strangers."""
