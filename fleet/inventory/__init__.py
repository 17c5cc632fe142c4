"""`inventory.toml`: the machines of a club."""
