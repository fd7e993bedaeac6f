"""Calls whose printed text comes back with their outcome: the driver's half of `capture=True`."""

from __future__ import annotations

from pyhost import _capturing, _wrappers
from pyhost._core import core
from pyhost.futures import Future

TYPE_CHECKING = False  # as `typing` has it, which is not worth importing for it
if TYPE_CHECKING:
    from typing import Any, Optional

class CapturedFuture(Future):
    """Of a call that ran as `_capturing.call`."""

    def result(self, timeout: Optional[float] = None) -> Any:
        """As that of any future."""
        return core.Task.result(self, timeout)[1]

    @property
    def stdout(self) -> Optional[str]:
        if not self.done() or self.cancelled():
            return None
        error = self.exception()
        return core.Task.result(self)[0] if error is None else error.__dict__.get("__pyhost_stdout__")


def capturing(function, shared):
    """The function for workers to have once for all of its calls."""
    is_coroutine = _wrappers.is_coroutine_function(function)
    return (_capturing.CapturingCoroutine if is_coroutine else _capturing.Capturing)(function, shared)
