"""What the documentation draws from a migrated database."""
