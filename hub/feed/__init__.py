"""What gates are told of who may enter: changes over MQTT, whole nights over HTTP."""
