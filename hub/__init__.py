"""The hub: owns the truth in Postgres, stores every scan once, and feeds the gates' caches.

`ingest` carries MQTT to Postgres, `feed` carries changes back, `web` serves snapshots over HTTP, `vip` is the
scan contract, guest lists and tables sold, `sql/` holds every statement.
"""
