"""The gate's link to the hub: carries the journal out and the cache in. No hardware here.

Pure: `wire` (topics and messages), `feed` (applying changes), `window` (what to send when).
"""
