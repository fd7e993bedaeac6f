"""Log records of workers in the driver's logging.

In a worker `install` takes the handlers away that were there when it began, which are the driver's, and has every
record that passes the levels and filters of its logger sent. The driver handles it as one of its own: by the levels,
filters and handlers of the logger of that name. Handlers that user code adds in a worker see its records, too;
`logging.basicConfig` adds none there, unless it is forced to.
"""

import binascii
import itertools
import os
import pickle
import sys

from pyhost._core import core

_LONGEST = 200_000  # characters of a message

# Bytes of one write, the PIPE_BUF of Linux: longer ones would be cut by what another process writes to the same stderr.
_ATOMIC = 4096
# Records of which some parts have come; with more, the one that had none for longest is given up, since its worker may
# have died while it wrote it. Halved, as many threads that log at once lose records; doubled, those of the dead hold more.
_MOST_PARTIAL = 64

_numbers = itertools.count(1)
_partial: dict = {}  # what names a record of several parts -> those that have come, in the driver

_pid = None  # of the worker that sends; a process it forks does too
_mark = None  # by which the driver knows a record from what else is on stderr


def install(mark, levels=None, disable=0):
    """Makes this worker send its records. Requires: `logging` is imported."""
    global _pid, _mark
    import logging
    _mark = mark.encode()
    if _pid is None:
        _pid = os.getpid()
        loggers = [logging.root, *logging.root.manager.loggerDict.values()]
        for logger in loggers:
            if isinstance(logger, logging.Logger):
                logger.handlers = []
        # One that does nothing: `basicConfig`, which `logging.warning` calls too, sees that all is configured.
        logging.root.handlers.append(logging.NullHandler())
        call_handlers = logging.Logger.callHandlers

        def send_and_call(logger, record):
            _send(record)
            if logger.hasHandlers():
                call_handlers(logger, record)

        logging.Logger.callHandlers = send_and_call
    for name, level in (levels or {}).items():
        (logging.getLogger(name) if name else logging.root).setLevel(level)
    if disable:
        logging.disable(disable)


def _send(record):
    fields = dict(record.__dict__)
    try:
        message = record.getMessage()
    except Exception as error:  # the driver's handlers would say so, were it theirs
        message = f"{record.msg!r:.500} with arguments that do not fit: {error}"
    if record.exc_info and not record.exc_text:
        import logging
        fields["exc_text"] = logging.Formatter().formatException(record.exc_info)[-_LONGEST:]
    fields.update(msg=message[:_LONGEST], message=message[:_LONGEST], args=None, exc_info=None)
    _write(binascii.b2a_base64(_pickled(fields), newline=False))


def _write(text):
    """Writes a record as one line, or as several that `_joined` puts together: `:NAME INDEX LEFT PART`."""
    if len(_mark) + len(text) < _ATOMIC:
        core.write_record(_mark + text + b"\n")
        return
    size = _ATOMIC - len(_mark) - 64  # which the words before it need
    count = -(-len(text) // size)
    name = f"{os.getpid()}-{next(_numbers)}"
    for index in range(count):
        part = text[index * size:(index + 1) * size]
        core.write_record(b"%b:%b %d %d %b\n" % (_mark, name.encode(), index, count - 1 - index, part))


def _joined(part):
    """The record that is complete with this part; None: it is not. False: and never will be, others were dropped."""
    name, index, left, text = part[1:].split(b" ", 3)
    parts = _partial.pop(name, [])
    if len(parts) == int(index):
        parts.append(text)
        if int(left) == 0:
            return b"".join(parts)
        _partial[name] = parts  # the one of which a part came last is the last here
        if len(_partial) > _MOST_PARTIAL:
            del _partial[next(iter(_partial))]
    return None if int(left) else False


def _pickled(fields):
    try:
        pickled = pickle.dumps(fields, 5)
        if b"__main__" not in pickled and len(pickled) < 3 * _LONGEST:
            return pickled
    except Exception:
        pass
    plain = (str, int, float, bool, type(None))  # extras of other types as text
    return pickle.dumps({name: value if isinstance(value, plain) else f"{value!r:.500}"
                         for name, value in fields.items()}, 5)


def handle(texts, dropped):
    """Handles records of workers, in the driver. `dropped`: how many could not be kept."""
    import logging
    _handle_before_forks()
    for text in texts:
        try:
            if text[:1] == b"?":
                from pyhost import _tracker
                _tracker.answer(text[1:].decode())
                continue
            if text[:1] == b":":
                text = _joined(text)
                if not text:
                    dropped += text is False
                    continue
            record = logging.makeLogRecord(pickle.loads(binascii.a2b_base64(text)))
            logger = logging.getLogger(record.name) if record.name != "root" else logging.root
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        except Exception:
            _complain()
    if dropped:
        logging.getLogger("pyhost").warning("%d log records of workers were dropped: they come faster than the "
                                            "handlers here take them", dropped)


_before_forks = False


def _handle_before_forks():
    """Again, as `_lifecycle` has it: what is registered last runs first, and must run before `logging` takes its lock."""
    global _before_forks
    if not _before_forks:
        _before_forks = True
        os.register_at_fork(before=core.await_records)


def _complain():
    import traceback
    if sys.stderr is not None:
        traceback.print_exc(limit=3, file=sys.stderr)


def levels():
    """What workers that are no copies of the driver are told: levels of loggers, and what is disabled."""
    logging = sys.modules.get("logging")
    if logging is None:
        return None
    found = {name: logger.level for name, logger in list(logging.root.manager.loggerDict.items())
             if isinstance(logger, logging.Logger) and logger.level != logging.NOTSET}
    if logging.root.level != logging.WARNING:
        found[""] = logging.root.level
    disable = logging.root.manager.disable
    return [found, disable] if found or disable else None
