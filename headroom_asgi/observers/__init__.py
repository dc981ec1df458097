"""Who hears about an exchange when it is over. The door."""

from headroom_asgi.observers.base import Observer, Report
from headroom_asgi.observers.log import is_logged, log_report

__all__ = ["Observer", "Report", "is_logged", "log_report"]
