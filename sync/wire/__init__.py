"""Topics and messages between gates and hub: shared with the hub. Pure."""
