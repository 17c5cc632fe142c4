"""A fresh process for what forks hundreds of times: forking one that imported all the tests is slow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def lean(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a module's function there. What it returns or raises comes back."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()
