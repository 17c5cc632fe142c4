"""What the door touches: camera, decoder, pins, keypad. Imports of our own only the pure core of `gate/`.

`pictures` and `decode` are functions; `frames` says what a camera is, `cameras` makes one.
`eye` runs camera and decoder as child processes (`child`, `workers`), which talk in
`messages` and share pictures through `slots`. `fakes` are working stand-ins.
`gpio` makes pins; `turnstile` drives one as `duty` says, `lights` as the `patterns` are; `inputs` watches
some, and `fire` tells of the alarm. `keypad` reads an event device (`evdev`) into a line (`keys`).
"""
