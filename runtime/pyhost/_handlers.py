"""Whether a signal handler raised an exception, for the core: it is for whoever waits then, and of no call."""

import signal


def is_from_handler(trace):
    """Whether a handler of Python code is among the frames of a traceback."""
    codes = {_code(signal.getsignal(number)) for number in signal.valid_signals()}
    codes.discard(None)
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _code(handler):
    function = handler if hasattr(handler, "__code__") else getattr(handler, "__call__", None)  # or of a method
    return getattr(function, "__code__", None)
