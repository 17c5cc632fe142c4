"""New releases to many gates, and how each is."""
