"""A night at three gates in one process and one thread: real gates, sync and hub; all else from a seed.

Theory of operation: docs/development.md, "The simulator".
"""
