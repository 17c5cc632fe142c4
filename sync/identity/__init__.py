"""Who this gate is: its key, its certificate and its token, which are born here and replaced here."""
