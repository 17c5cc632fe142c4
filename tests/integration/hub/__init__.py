"""The hub against a real Postgres and a real Mosquitto."""
