"""What docs/performance.md tells, measured: `python -m bench`, or `make bench`.

Every figure stands beside a floor measured in the same run and in turn with it, so that a
noisy machine does not matter (quality 7.3). Not part of the product, and no test: nothing
fails when an aim is missed, the table says so.

One file per subject, each with one function that gives rows; `bench/__main__.py` lists them.
"""
