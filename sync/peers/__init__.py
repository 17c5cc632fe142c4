"""What the other gates report, and how much of it counts."""
