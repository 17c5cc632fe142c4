"""The door: decides who enters, records it, and only then moves the turnstile.

Pure modules (no IO, no clock, no randomness): `model`, `payload`, `decide`,
`presence`, `effects`, `screen`, `ports`, `errors`, `settings`.
The shell around them: `config`, `clock`, `journal`, `cache`, `door`, `bootstrap`, `cli`.
"""
