"""What the door touches: camera, decoder, turnstile. Imports of our own only the pure core of `gate/`.

`pictures` and `decode` are functions; `frames` says what a camera is, `cameras` makes one.
`eye` runs camera and decoder as child processes (`child`, `workers`), which talk in
`messages` and share pictures through `slots`. `fakes` are working stand-ins.
"""
