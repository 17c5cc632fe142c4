"""The screen: a `gate.ports.screen` value becomes words, the words become a picture, the picture is shown.

`text.words` (pure) → `picture.layout` (pure) → `picture.draw` (pure) → `panel.oled` (the thread and the
devices). `preview` writes the same pictures as files and as text.
"""
