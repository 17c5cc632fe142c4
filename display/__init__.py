"""The screen: a `gate.ports.screen` value becomes words, the words become a picture, the picture is shown.

`words` (pure) → `layout` (pure) → `draw` (pure) → `oled` (the thread and the devices). `preview`
writes the same pictures as files and as text.
"""
