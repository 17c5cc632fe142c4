"""What is kept and for how long, and what has to be done every hour."""
