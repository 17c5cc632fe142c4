"""Cameras: the Pi camera, webcams, and folders of picture files."""
