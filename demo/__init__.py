"""`make demo`: an evening at the door with real parts. The tests use its servers too."""
