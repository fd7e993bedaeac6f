"""`concurrent.futures.ProcessPoolExecutor` on pyhost."""

from pyhost import _adopt

_Stdlib = None  # its ProcessPoolExecutor


def adopt(module):
    """Replaces the class in concurrent.futures.process, from where every other name of it comes."""
    global _Stdlib
    _Stdlib = module.ProcessPoolExecutor
    module.ProcessPoolExecutor = _adopt.subclass(_OnPyhost, _Stdlib)


class _OnPyhost(_adopt.Routed):
    """In front of the standard library's class, which does what has to stay there."""

    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=(), *,
                 max_tasks_per_child=None):
        import multiprocessing
        from pyhost import _adopt_contexts
        context = mp_context
        if context is None:
            context = multiprocessing.get_context("spawn" if max_tasks_per_child is not None else None)
        shown = f"{type(self).__qualname__}({'' if max_workers is None else max_workers})"
        start = _adopt_contexts.route(type(self), _OnPyhost, _Stdlib, context, shown)
        if start is None:
            more = {} if max_tasks_per_child is None else {"max_tasks_per_child": max_tasks_per_child}
            super().__init__(max_workers, mp_context, initializer, initargs, **more)
            return
        self._pyhost = _executor(max_workers, context, start, initializer, initargs, max_tasks_per_child)
        if type(self).submit is _OnPyhost.submit:
            self.submit = self._pyhost.submit  # without the detour
        _adopt.made("futures", shown, start, self._max_workers)

    def submit(self, fn, /, *args, **kwargs):
        return self._runs_on().submit(fn, *args, **kwargs)

    def map(self, fn, *iterables, timeout=None, chunksize=1, **more):
        if type(self).submit is not _OnPyhost.submit:
            return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize, **more)  # by self.submit
        return self._runs_on().map(fn, *iterables, timeout=timeout, chunksize=chunksize, **more)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._runs_on().shutdown(wait, cancel_futures=cancel_futures)

    def terminate_workers(self):
        self._runs_on().terminate_workers()

    def kill_workers(self):
        self._runs_on().kill_workers()

    def __exit__(self, kind, error, trace):
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._runs_on().__exit__(kind, error, trace)
        self.shutdown(wait=True)
        return False


def _executor(max_workers, context, start, initializer, initargs, max_tasks_per_child):
    from pyhost import _adopt_contexts
    from pyhost.executor import Executor
    executor = Executor.__new__(Executor)
    executor._more = _adopt_contexts.settings_of(context, "Process")
    executor.__init__(max_workers, context, initializer, initargs, max_tasks_per_child=max_tasks_per_child, start=start)
    return executor
