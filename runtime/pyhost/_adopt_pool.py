"""`multiprocessing.Pool`, of every context, on pyhost."""

import abc

from pyhost import _adopt

_Stdlib = None  # its Pool
_Quiet = None


def adopt(module):
    """Replaces the class in multiprocessing.pool, from where the contexts take it."""
    global _Stdlib
    _Stdlib = module.Pool
    module.Pool = _adopt.subclass(_OnPyhost, _Stdlib)
    module.Pool.register(module.ThreadPool)


class _OnPyhost(_adopt.Routed, abc.ABC):
    """In front of the standard library's class, which does what has to stay there.

    An ABC for ThreadPool's sake, which derives from that class and counts as one of this.
    """

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None):
        cls = type(self)
        if _OnPyhost not in cls.__mro__:  # a ThreadPool, which calls what is named Pool in its module
            _Stdlib.__init__(self, processes, initializer, initargs, maxtasksperchild, context)
            return
        from pyhost import _adopt_contexts
        if context is None:
            import multiprocessing
            context = multiprocessing.get_context()
        name = "multiprocessing.Pool" if cls.__module__ == _Stdlib.__module__ else cls.__qualname__
        shown = f"{name}({'' if processes is None else processes})"
        start = _adopt_contexts.route(cls, _OnPyhost, _Stdlib, context, shown)
        if start is None:
            super().__init__(processes, initializer, initargs, maxtasksperchild, context)
            return
        self._pyhost = _pool(processes, initializer, initargs, maxtasksperchild, context, start)
        _adopt.made("multiprocessing", shown, start, self._processes)

    def __repr__(self):
        if "_pyhost" not in self.__dict__:
            return super().__repr__()
        cls = type(self)
        return f"<{cls.__module__}.{cls.__qualname__} state={self._state} pool_size={self._processes}>"

    def __del__(self):
        if "_pyhost" in self.__dict__ or "_state" in self.__dict__:  # else it was never made
            super().__del__()

    def _check_running(self):
        self._runs_on()._check_running()

    def _repopulate_pool(self):
        self._runs_on()._repopulate_pool()

    def apply(self, func, args=(), kwds={}):
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):
        return self._runs_on().apply_async(func, args, kwds, callback, error_callback)

    def map(self, func, iterable, chunksize=None):
        return self._runs_on().map(func, iterable, chunksize)

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        return self._runs_on().map_async(func, iterable, chunksize, callback, error_callback)

    def starmap(self, func, iterable, chunksize=None):
        return self._runs_on().starmap(func, iterable, chunksize)

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        return self._runs_on().starmap_async(func, iterable, chunksize, callback, error_callback)

    def imap(self, func, iterable, chunksize=1):
        return self._runs_on().imap(func, iterable, chunksize)

    def imap_unordered(self, func, iterable, chunksize=1):
        return self._runs_on().imap_unordered(func, iterable, chunksize)

    def close(self):
        self._runs_on().close()

    def terminate(self):
        self._runs_on().terminate()

    def join(self):
        self._runs_on().join()

    def __enter__(self):
        self._runs_on().__enter__()
        return self


def _quiet(cls):
    """The class of the pools inside: those around them warn when they are dropped open."""
    global _Quiet
    if _Quiet is None:
        _Quiet = type(cls.__name__, (cls,), {"__del__": lambda self: None, "__module__": cls.__module__})
    return _Quiet


def _pool(processes, initializer, initargs, maxtasksperchild, context, start):
    from pyhost import _adopt_contexts
    from pyhost.pool import Pool
    pool = Pool.__new__(_quiet(Pool))
    pool._more = _adopt_contexts.settings_of(context, "PoolWorker", daemon=True)
    pool.__init__(processes, initializer, initargs, maxtasksperchild, context, start=start)
    return pool
