"""The gate's `cache.db`, written: what the hub says may enter, and what other gates admitted."""
