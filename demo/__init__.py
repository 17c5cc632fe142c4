"""An evening at the door with real parts: `make demo`. Its servers also serve the tests."""
