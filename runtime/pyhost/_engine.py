"""One native engine with what it needs from Python: started at its first call, closed once."""

import os
import sys
import threading
import weakref

from pyhost import _inheritance, _lifecycle, _limits, _main, _settings
from pyhost._core import core
from pyhost._functions import Functions, register
from pyhost._pickling import Pickling

_LARGEST_CHUNK = 2**31

_process = object()  # replaced in a forked process


def _count(chunksize):
    """How many items travel together, as the native engine has it; 0: as it sees fit."""
    return min(chunksize, _LARGEST_CHUNK) if chunksize is not None and chunksize > 1 else 0


def _is_sliced(kind):
    """Whether the items of such an input are sent without being looked at one by one."""
    return kind is range or (kind.__module__ == "array" and kind.__name__ == "array")


class Engine:
    """What an Executor and a Pool drive, and the default pool.

    Threads: any. Under start method `fork` the workers are copies of this process as it is at the first call.
    Lifetime: closed when nobody refers to it: neither an Executor nor the iterator of a map with input left.
    """

    refuses_failed_start = False  # instead of accepting calls that fail

    def __init__(self, settings, initializer=None, initargs=(), killed_at_exit=False):
        self.killed_at_exit = killed_at_exit  # instead of waiting for what it has
        self._settings = settings
        self._initializer = initializer
        self._initargs = initargs
        self._lock = threading.Lock()
        self._closed = False
        self._process = None  # in which it was started
        self._native = None
        self._functions = None
        self._maps = {}  # id -> weak reference to the iterator of a map
        self._most_maps = 64  # when to drop those that are gone
        self._processes = None
        self._failure = None  # of the pool, once that is closed
        self._facts = None  # what its workers inherit, as JSON
        self._carry = None  # takes context variables along
        self._siblings = {}  # memory cap -> a pool that differs in nothing else
        _lifecycle.adopt(self)

    def submit(self, function, args, kwargs, limits, submitter, kind=None):
        """A future of `kind`, a `core.Task`; also for what cannot be sent, which is its exception then. Binds the
        `core.Submitter`."""
        if kind is None:
            kind = self._kind_of_future()
        if self._settings.as_stdlib and not callable(function):  # there a worker finds out
            return core.failed(kind, TypeError(f"'{type(function).__name__}' object is not callable"))
        _limits.require_callable(function)
        try:
            engine = self._ready(function)
            functions = self._functions
            submitter._bind(engine, functions.known, kind, limits)
            number, applied = functions.find(function)
            if applied:
                return engine.submit(kind, number, (function, args, kwargs), None, limits)
            return engine.submit(kind, number, args, kwargs, limits)
        except core.MarshalError as error:
            return core.failed(kind, error)

    def submit_captured(self, function, args, kwargs, limits):
        """As `submit`, of a call whose text comes back with its outcome."""
        from pyhost._captured import CapturedFuture
        _limits.require_callable(function)
        try:
            engine = self._ready(function)
            shared = (self._settings.workers["concurrency"] or 1) > 1
            number, more, applied = self._functions.find_capturing(function, shared)
            if applied:
                return engine.submit(CapturedFuture, number, (*more, args, kwargs), None, limits)
            return engine.submit(CapturedFuture, number, args, kwargs, limits)
        except core.MarshalError as error:
            return core.failed(CapturedFuture, error)

    def map(self, function, iterables, timeout, chunksize, buffersize, keep, limits=None, star=False):
        """An iterator over results: without iterables none. `keep`: without a `buffersize`, the whole input is read
        and run, whether results are asked for or not. `star`: the one iterable has the arguments of each call."""
        _limits.require_callable(function)
        _settings.check_sizes(chunksize, buffersize)
        if not iterables:
            return iter(())
        if star:
            items = map(tuple, iterables[0])
        elif len(iterables) != 1:
            items = zip(*iterables)
        else:
            items = iterables[0] if _is_sliced(type(iterables[0])) else iter(iterables[0])
        has_end = any(hasattr(type(iterable), "__len__") for iterable in iterables)
        if keep and self.goes_in_chunks(function, iterables, chunksize, limits):
            from pyhost import _chunks
            rows = ((function, star or len(iterables) != 1, chunk) for chunk in _chunks.cut(items, chunksize))
            ahead = buffersize and -(-buffersize // chunksize)
            rows = list(rows) if has_end and not ahead else rows
            return _chunks.joined(self.map(_chunks.run, (rows,), timeout, 1, ahead, keep, star=True))
        engine, number = self._number_for_map(function)
        count = _count(chunksize)
        keep = keep and buffersize is None
        items, style = self._in_context(items, star or len(iterables) != 1)
        ahead = min(buffersize or 0, _LARGEST_CHUNK)
        results = engine.map(number, items, style, count, ahead, timeout, keep, has_end, self, limits)
        self._remember(results)
        return results

    def _remember(self, results):
        # No callback drops what is gone: it would run wherever an iterator ends, and swallow a Ctrl-C that comes then.
        if len(self._maps) >= self._most_maps:
            for key, known in list(self._maps.items()):  # other threads may add some meanwhile
                if known() is None:
                    self._maps.pop(key, None)
            self._most_maps = max(64, 2 * len(self._maps))
        reference = weakref.ref(results)
        self._maps[id(reference)] = reference

    def _in_context(self, items, star):
        """Items that take the context variables of the caller along, if any are set; and how the engine calls that."""
        context = self._carry() if self._carry is not None else None
        if context is None:
            return items, int(star)
        from pyhost import _context
        return _context.within(iter(items), star, context), 2

    def _number_for_map(self, function):
        engine = self._ready(function)
        number, applied = self._functions.find(function)
        return engine, self._functions.define_for_map(function, self._settings.as_stdlib) if applied else number

    def goes_in_chunks(self, function, inputs, size, limits=None):
        """Whether a map of chunks of that size over these inputs is to be made of whole chunks (see `_chunks`). Not
        where limits are for single calls."""
        if size is None or size < 2 or limits is not None or self._settings.limits:
            return False
        from pyhost import _chunks, _wrappers
        if _wrappers.is_coroutine_function(function):
            return False
        return self._settings.as_stdlib and _chunks.has_state(function) or any(map(_chunks.share, inputs))

    def stream(self, kind, function, iterable, star, chunksize, unordered=False, eager=True, fed=False, per_call=1):
        """An iterator of `kind`, a `core.MapIterator`, over results, which goes on after an exception.

        `star`: each item holds the arguments of a call. `eager`: all of the input is submitted now; `fed`: a thread
        in `_feed` will read it; neither: it is read as the results are. `per_call`: how many items count as one call
        when workers are replaced.
        """
        items = map(tuple, iterable) if star else iterable if _is_sliced(type(iterable)) else iter(iterable)
        engine, number = self._number_for_map(function)
        items, style = self._in_context(items, star)
        results = engine.stream(kind, number, items, style, _count(chunksize), min(per_call, _LARGEST_CHUNK), unordered,
                                eager and not fed, fed, self, None)
        self._remember(results)
        return results

    def start(self):
        """Starts the workers, if they are not; returns how many there are to be at most."""
        return (self._native or self._start(None)).workers

    @property
    def native(self):
        """The `core.Engine`, once it is started; None again when it is closed."""
        return self._native

    def family(self):
        """This pool, and of those for other memory caps the ones that run."""
        if self._is_copy():  # taken while the lock was held, perhaps
            return [self]
        with self._lock:
            return [self, *(sibling for sibling in self._siblings.values() if sibling.native is not None)]

    def broadcast(self, function, args, kwargs):
        """The results of all workers of the family. Raises the first exception, after all ended."""
        results, failure = [], None
        for engine in self.family():
            try:
                results.extend(engine._broadcast(function, args, kwargs))
            except Exception as error:
                failure = failure or error
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # no cycle with its own traceback
        return results

    def _broadcast(self, function, args, kwargs):
        _limits.require_callable(function)
        engine = self._ready(function)
        number, applied = self._functions.find(function)
        return engine.broadcast(number, (function, args, kwargs) if applied else args, None if applied else kwargs)

    def stacks(self, timeout):
        engine = self._native
        found = engine.stacks(timeout) if engine is not None and not self._is_copy() else []
        from pyhost._stacks import WorkerStack
        return [WorkerStack(*entry) for entry in found]

    def stats(self):
        return self._native.stats() if self._native is not None else {}

    @property
    def max_workers(self):
        return self._settings.workers["workers"] or core.usable_cpus()

    def processes(self, timeout=10.0):
        """{pid: process} of the workers alive, once as many as are wanted have started; `timeout` in seconds."""
        if self._is_copy():
            return {}
        with self._lock:
            native = self._native
            if native is not None and self._processes is None:
                from pyhost._processes import Processes
                self._processes = Processes(native, core.json_loads(self._facts.encode()))
            found = self._processes
        return found.find(timeout) if native is not None else {}

    @property
    def has_named_workers(self):
        """Whether workers are processes of multiprocessing, and nobody is about to start or end them: a signal handler
        may ask."""
        return self._settings.process_name is not None and not self._lock.locked()

    def _kind_of_future(self):
        from pyhost import futures
        return futures.FutureOfStdlib if self._settings.as_stdlib else futures.Future

    def failure(self):
        """The exception that says why nothing can run any more, or None."""
        native = self._native
        return native.failure if native is not None else self._failure

    def end_workers(self, signal):
        """Closes the pool, cancels what has not started, and sends all workers a signal."""
        with self._lock:
            native, siblings = self._native, list(self._siblings.values())
        for sibling in siblings:
            sibling.end_workers(signal)
        if native is not None and not self._is_copy():
            native.end_workers(signal)
        self.close(wait=False)

    def _ready(self, function):
        native = self._native or self._start(function)
        if native.broken:
            raise native.failure
        return native

    def _refuse_copy(self):
        if self._is_copy():
            raise RuntimeError("this pool belongs to the process this one was forked from; make a new one here, or use "
                               "`pyhost.submit` and `pyhost.map`")

    def _start(self, function):
        self._refuse_copy()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._native is None:
                self._process = _process
                self._native = self._make_engine(function) if self._settings.as_stdlib else \
                    core.Context().run(self._make_engine, function)  # workers begin without the caller's
            return self._native

    def _is_copy(self):
        return self._process is not None and self._process is not _process

    def _make_engine(self, function):
        _inheritance.refuse_while_importing_main()
        start = _settings.choose_start(self._settings.start)
        snapshot = self._imported_main()
        if start == "fork":
            snapshot = _main.Copied() if self._settings.as_stdlib else _main.Snapshot()
        registered = register(function, snapshot) if start == "fork" else None
        pickling = Pickling(snapshot)
        pickling.is_told = "multiprocessing.context" in sys.modules
        initializer, descriptors, preload = None, [], [*_settings.preload(), *self._settings.preload]
        if self._initializer is not None:
            from pyhost import _initializer
        if self._initializer is not None and start == "fork":
            pickling.inherited = _initializer.Inherited(self._initializer, self._initargs)
            initializer = pickling.inherited.wanted()
        elif self._initializer is not None:
            initializer = _initializer.pickled(self._initializer, self._initargs, pickling, descriptors,
                                                preload)
        inherited = _inheritance.gather(self._settings, start, descriptors)
        engine = core.Engine(
            start=start, python=sys.executable or "", image=_settings.image(),
            preload=preload, dumps=pickling.dumps,
            settings={**self._settings.workers, "as_printed": self._settings.as_stdlib},
            limits=_limits.native(self._settings.limits), initializer=initializer, inherited=inherited)
        self._facts = inherited["text"]
        if self.refuses_failed_start:
            engine.refuse_after_failed_start()
        if not self._settings.as_stdlib:
            engine.carry = self._carry = _carrier(pickling.dumps)
        self._functions = Functions(engine, pickling)
        if registered is not None:
            self._functions.of_snapshot(function, registered)
        return engine

    def _imported_main(self):
        """What of `__main__` goes by name to workers that are no copies of this process."""
        if self._settings.main != "import" or _inheritance.main_module() is None:
            return None
        __import__("multiprocessing")  # gives `__main__` the name here that it has in workers
        return _main.Imported()

    def sibling(self, memory):
        """The pool for calls with that memory cap, in bytes: workers cannot change theirs."""
        if memory == self._settings.workers.get("memory"):
            return self
        self._refuse_copy()
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if memory not in self._siblings:
                self._siblings[memory] = Engine(self._settings.with_memory(memory), self._initializer, self._initargs,
                                                self.killed_at_exit)
            return self._siblings[memory]

    def close(self, wait=True, cancel=False, kill=False):
        """Accepts nothing new. Finishes what was submitted, or with `cancel` only what runs, or with `kill`
        nothing."""
        if self._is_copy():
            return
        with self._lock:
            self._closed = True
            engine, self._native, self._processes = self._native, None, None
            siblings, self._siblings = self._siblings, {}
        try:
            for sibling in siblings.values():
                sibling.close(wait, cancel, kill)
            if engine is not None:
                self._finish(engine, wait, cancel, kill)
        except BaseException:  # Ctrl-C: nothing may be left running that nobody waits for
            if engine is not None:
                engine.kill()
            raise
        finally:
            _lifecycle.release(self)

    def __del__(self):
        self.close(wait=False)

    def _finish(self, engine, wait, cancel, kill):
        self._failure = engine.failure
        if kill:
            engine.kill()
        else:
            if cancel:
                engine.cancel_waiting()
            else:
                for results in [known() for known in list(self._maps.values())]:
                    if results is not None:
                        results._finish(wait)
            engine.start_drain()
            if wait:
                engine.wait_drained()
                await_callbacks(engine)
            else:
                _lifecycle.drain_later(engine, self.killed_at_exit)


def _carrier(dumps):
    """`_context.carrier(dumps)`, made when there is a context: a script without context variables need not import it."""
    made = []

    def carry():
        if not core.has_context():
            return None
        if not made:
            from pyhost import _context
            made.append(_context.carrier(dumps))
        return made[0]()
    return carry


def await_callbacks(native):
    """Returns when the callbacks of a native engine that has ended have run."""
    futures = sys.modules.get("pyhost.futures")
    if futures is not None:
        futures.await_callbacks(native.completions)


def _forget():
    global _process
    _process = object()


os.register_at_fork(after_in_child=_forget)
