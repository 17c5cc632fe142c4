"""Stands in for PiDNG, which writes raw pictures to files: picamera2 imports it at once.

PiDNG exists as source only and would need a compiler run for nothing: the gate takes no raw pictures.
Used by `make pibox-camera` only.
"""
