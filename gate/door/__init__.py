"""The door's loop and its parts: from a code that is held up to the turnstile, the screen and the record."""
