"""Coroutines in a worker, on one event loop that is kept from task to task.

The worker's native half calls this: `run` where calls run one by one, `serve` where several are in flight.
"""

import asyncio
import inspect
import selectors
import sys
import traceback

from pyhost import _wrappers

loop = None  # the worker's
_root = None  # the task of the call that runs, under `run`


def _make_loop(new):
    global loop
    loop = new()
    asyncio.set_event_loop(loop)  # for code that asks for it outside of a coroutine
    return loop


def is_coroutine_function(function):
    """Whether calling it makes a coroutine, and does nothing else."""
    function = _wrappers.wrapped(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


def run(awaitable):
    """Waits for it; returns the task, which is done."""
    global _root
    if loop is None or loop.is_closed():
        _make_loop(asyncio.new_event_loop)
    task = asyncio.ensure_future(awaitable, loop=loop)
    _root = task
    task.add_done_callback(_stop)  # not run_until_complete, which adds itself to the traceback
    try:
        while not task.done():
            try:
                loop.run_forever()
            except BaseException:
                # Either the task's own, or something else in the loop ended it: then the task must end, too.
                if not task.done():
                    if loop.is_closed() or loop.is_running():
                        raise
                    task.cancel()
    finally:
        _root = None
    return task


def _stop(task):
    loop.stop()


def cancel_waiting():
    """Cancels the task of `run` if it waits for something. False: it runs, or there is none."""
    if _root is None or asyncio.current_task(loop) is not None:
        return False
    loop.call_soon_threadsafe(_root.cancel)
    return True


def cancel(task):
    """False: it is what runs at this moment, so an exception can be raised in it."""
    if asyncio.current_task(loop) is task:
        return False
    loop.call_soon_threadsafe(task.cancel)
    return True


def _lines(frames):
    """As faulthandler writes them. `frames`: pairs of a frame and its line, outermost first."""
    return "".join(f'  File "{frame.f_code.co_filename}", line {line} in {frame.f_code.co_name}\n'
                   for frame, line in reversed(frames))


def _runs_in(task):
    """The frames of the task whose code was interrupted to ask."""
    frames = list(traceback.walk_stack(sys._getframe(2)))[::-1]
    first = getattr(task.get_coro(), "cr_frame", None)
    return frames[next((at for at, (frame, _) in enumerate(frames) if frame is first), 0):]


def _waits_in(task):
    """The frames in which a task waits, of the coroutines it awaits, too."""
    frames = []
    at = task.get_coro()
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)
    return frames


def stacks(threads, tasks):
    """Where calls are: those in threads, by the numbers of these, and those that are tasks. For the main thread."""
    frames = sys._current_frames()
    running = asyncio.current_task(loop)
    text = ""
    for ident in threads:
        # Without the three frames in which `threading` starts a thread.
        stack = list(traceback.walk_stack(frames[ident]))[::-1][3:] if ident in frames else []
        text += f"Thread 0x{ident:016x} (most recent call first):\n{_lines(stack)}\n"
    for task in tasks:
        text += f"Coroutine (most recent call first):\n{_lines(_runs_in(task) if task is running else _waits_in(task))}\n"
    return text


def waiting():
    """The tasks that `run` waits for."""
    return [] if _root is None else [_root]


class _Selector(selectors.DefaultSelector):
    """Looks for calls whenever the loop looks for events.

    look: gets the time the loop would wait, in seconds or None, and returns how long it may
    """

    def __init__(self, look):
        super().__init__()
        self._look = look

    def select(self, timeout=None):
        return super().select(self._look(timeout))


def prepare(look, bell, rung):
    """The loop. `bell` is a descriptor that ends its waiting; `rung` is called then."""
    _make_loop(lambda: asyncio.SelectorEventLoop(_Selector(look)))
    loop.add_reader(bell, rung)
    return loop


def serve(is_over):
    """Runs the loop until it is stopped because all is over."""
    while not is_over():
        try:
            loop.run_forever()
        except BaseException:  # SystemExit in a task ends a loop; it is that task's outcome
            pass
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
