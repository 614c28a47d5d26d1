"""Saying that things should be so, and stopping where they are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pss_sdk import ApiProblem

from .narrator import Telling

__all__ = ["WentWrong", "refused_with", "require"]


class WentWrong(Exception):  # noqa: N818 - a step that did not go as told
    """A plain sentence on what happened instead of what should have."""


def require(so: bool, otherwise: str) -> None:
    """Raise WentWrong with the sentence unless it is so."""
    if not so:
        raise WentWrong(otherwise)


@contextmanager
def refused_with(telling: Telling, code: str) -> Iterator[None]:
    """What is done inside has to be refused with this code; tells so. Raises WentWrong."""
    try:
        yield
    except ApiProblem as problem:
        require(
            problem.code == code,
            f"It should have been refused with {code}, but was with {problem.code}: "
            f"{problem.detail}",
        )
        telling.refused(problem.code, problem.detail)
    else:
        raise WentWrong(f"It should have been refused with {code}, but was not.")
