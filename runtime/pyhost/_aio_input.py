"""Asynchronous inputs of `pyhost.aio.map`, read ahead by a task of the event loop.

    async inputs --reader task--> rows of one turn of the loop --submitted together--> maps, oldest first --> results

Items that an input has at hand travel together: rows are collected until the reader has to wait, or the bound on
read-ahead is reached, and become one map then.
"""

import asyncio
import collections

# Items read ahead. Halved: a source without waits feeds the workers in smaller pieces. Doubled: more is read of a
# source for nothing when the consumer stops.
AHEAD = 256


def _asynchronous(iterable):
    return iterable.__aiter__() if hasattr(iterable, "__aiter__") else _Stepped(iter(iterable))


class _Stepped:
    """An ordinary iterator beside asynchronous ones."""

    def __init__(self, iterator):
        self._next = iterator.__next__

    async def __anext__(self):
        try:
            return self._next()
        except StopIteration:
            raise StopAsyncIteration from None


class Reader:
    """start: gets a list of rows (tuples of arguments) and returns the iterator of their map

    Threads: that of the event loop.
    """

    def __init__(self, iterables, start, buffersize):
        self._iterators = [_asynchronous(iterable) for iterable in iterables]
        self._start = start
        self._most = buffersize or AHEAD
        self._maps = collections.deque()
        self._rows = []       # read, not yet submitted
        self._unyielded = 0   # read, and not yet yielded
        self._failure = None  # what ended the input; belongs behind the last result
        self._over = False
        self._flushes = False  # a flush is due in this turn of the loop
        self._task = None
        self._room = None     # what the task waits for
        self._news = None     # what the consumer waits for

    def start(self):
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._read())

    async def _read(self):
        try:
            while True:
                if self._unyielded >= self._most:
                    self._flush()
                    self._room = self._loop.create_future()
                    await self._room
                row = []
                for iterator in self._iterators:
                    row.append(await iterator.__anext__())
                self._rows.append(row)
                self._unyielded += 1
                if not self._flushes:
                    self._flushes = True
                    self._loop.call_soon(self._flush)
        except StopAsyncIteration:
            pass
        except asyncio.CancelledError as error:
            if not self._over:  # not by us: what an input awaits was cancelled
                self._failure = error
            raise
        except Exception as error:
            self._failure = error
        finally:
            self._over = True
            self._flush()
            self._notify()

    def _flush(self):
        self._flushes = False
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            self._maps.append(self._start(rows))
        except Exception as error:  # the pool is closed
            self._failure = self._failure or error
            self._over = True
            self._task.cancel()
        self._notify()

    def _notify(self):
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def oldest(self):
        """The map whose results are next, or None."""
        return self._maps[0] if self._maps else None

    def pop_oldest(self):
        self._maps.popleft()

    def ended(self):
        """Whether there is nothing to come. Raises what ended the input."""
        if self._over and self._failure is not None:
            raise self._failure
        return self._over

    def more(self):
        """A future that is done when there is an `oldest`, or the end."""
        self._news = self._loop.create_future()
        return self._news

    def yielded(self):
        self._unyielded -= 1
        # By halves: then rows travel together, too, when the workers are ahead of the reader.
        if self._room is not None and self._unyielded <= self._most // 2 and not self._room.done():
            self._room.set_result(None)

    def close(self, force=False):
        """Reads no more, and takes back what has not started; with `force` stops what runs."""
        self._over = True
        self._rows.clear()
        if self._task is not None:
            self._task.cancel()
        while self._maps:
            self._maps.popleft().close(force=force)
