"""Parts of the documentation that are drawn from a migrated database."""
