"""One log line per exchange."""

import logging
from dataclasses import fields

from headroom_asgi.logs import get_logger
from headroom_asgi.observers.base import Report

_log = get_logger(__name__)


def is_logged() -> bool:
    """Reports are written. To make one, and a line of it, takes longer than all else that is said about an exchange."""
    return logging.getLogger(__name__).isEnabledFor(logging.INFO)


def log_report(report: Report) -> None:
    """Write the report as one structured line, event `exchange`, at level INFO."""
    _log.info("exchange", **{f.name: getattr(report, f.name) for f in fields(report)}, tokens_saved=report.tokens_saved)
