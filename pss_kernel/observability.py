"""Log lines: structured, with the tenant and request that they belong to."""

from __future__ import annotations

import logging
import sys

import structlog

from pss_kernel.config import Config
from pss_kernel.correlation import CurrentCorrelation, correlated, current_correlation

__all__ = ["CurrentCorrelation", "configure_logging", "correlated", "current_correlation"]


def configure_logging(config: Config) -> None:
    """Write to standard error, one line an event; ``json`` for machines."""
    level = logging.getLevelNamesMapping().get(config.log_level.upper(), logging.INFO)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if config.log_format == "json"
        # Plain tracebacks: ones that print local variables would print personal data.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([structlog.processors.format_exc_info] if config.log_format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
