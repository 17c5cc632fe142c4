"""Measures the figures of docs/performance.md: `python -m bench`, or `make bench`.

Every figure is compared with a floor, measured in turn with it in the same run, so that a noisy machine does
not matter (quality 7.3). It is neither part of the product nor a test: a missed aim fails nothing, the table
shows it.

Each subject is a file with a function `rows`; `bench/__main__.py` lists them.
"""
