"""Camera and decoder as one eye, each in a child process: `python -m hardware.eye camera|decoder`."""
