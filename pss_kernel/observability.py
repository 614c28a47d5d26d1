"""Log lines: structured, with the tenant and request that they belong to."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from pss_kernel.config import Config
from pss_kernel.correlation import CurrentCorrelation, correlated, current_correlation
from pss_kernel.masking import exception_text, mask_fields, write_exception

__all__ = ["CurrentCorrelation", "configure_logging", "correlated", "current_correlation"]


def configure_logging(config: Config) -> None:
    """Write to standard error, one line an event; ``json`` for machines."""
    level = logging.getLevelNamesMapping().get(config.log_level.upper(), logging.INFO)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if config.log_format == "json"
        # Plain tracebacks: ones that print local variables would print personal data.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=write_exception
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            mask_fields,
            *(
                [structlog.processors.ExceptionRenderer(exception_text)]
                if config.log_format == "json"
                else []
            ),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # As it is when a line is written: whoever runs us may put another stream in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _Formatter(logging.Formatter):
    """Of libraries' own lines: their exceptions are told like ours."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the standard library
        return exception_text(ei)
