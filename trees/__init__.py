"""Whole machines to try operations on: Debian with real systemd and sshd, in systemd-nspawn. `make fleet`."""
