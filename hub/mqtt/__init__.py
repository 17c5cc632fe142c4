"""The hub's side of the MQTT broker."""
