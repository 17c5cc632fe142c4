"""The door: decides who enters, records it, and only then moves the turnstile.

`rules` and `ports` are pure (no IO, no clock, no randomness); the other rooms are the shell around them. The
floors are drawn in docs/development.md.
"""
