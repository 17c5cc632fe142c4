"""Who may enter, for the gates: changes over MQTT, whole nights over HTTP."""
