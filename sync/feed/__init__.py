"""What the hub says of who may enter, on its way into the cache."""
