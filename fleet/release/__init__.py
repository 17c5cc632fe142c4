"""Releases on a machine itself: installed beside each other, tried, kept or rolled back."""
