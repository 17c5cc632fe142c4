"""What hangs on GPIO pins: relay, lights, buzzer, contacts."""
