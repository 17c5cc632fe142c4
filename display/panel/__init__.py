"""Panels: the ones on the wall, the ones that need no hardware, and the thread that draws on them."""
