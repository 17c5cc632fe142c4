"""What every room may use, on the Pi and at the hub: errors, logging, configuration files, foreign data."""
