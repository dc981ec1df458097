"""The package's loggers: structlog's calls, the standard library's handlers and levels.

Nothing is printed unless the app configures `logging`: fields then arrive as `extra`, together with what the app has
bound in structlog's contextvars (a request id, say). A disabled line costs about 4 microseconds: a few per request,
not more. No line may hold text of a prompt or an answer.
"""

import logging
from typing import cast

import structlog
from structlog.typing import EventDict, WrappedLogger

# What every record already has; `extra` must not carry it, or the logging call itself raises KeyError.
_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PASSED_ON = frozenset({"exc_info", "stack_info"})

logging.getLogger("headroom_asgi").addHandler(logging.NullHandler())


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module, named by its `__name__`; lines are `_log.warning("event_name", field=value)`."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _without_clashes,
            structlog.stdlib.render_to_log_kwargs,
        ],
        cache_logger_on_first_use=True,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def _without_clashes(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """The fields, with an underscore behind names that a log record owns; an app may have bound any name at all."""
    clashes = [name for name in fields if name in _RESERVED and name not in _PASSED_ON]
    for name in clashes:
        fields[f"{name}_"] = fields.pop(name)
    return fields


def where(error: BaseException) -> str:
    """File and line that raised, without the message, which may quote a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace is not None else ""
