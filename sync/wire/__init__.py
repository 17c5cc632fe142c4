"""Topics and messages between gates and hub, used by both. Pure."""
