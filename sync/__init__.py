"""The gate's link to the hub: sends the journal, writes the cache. No hardware here."""
