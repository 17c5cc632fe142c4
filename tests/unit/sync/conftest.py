"""The fixture that the tests of sync share."""

from tests.sync_bench import bench

__all__ = ["bench"]
