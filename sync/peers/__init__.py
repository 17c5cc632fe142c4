"""What the other gates say, and how much of it is believed."""
