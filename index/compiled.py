"""Loops that numpy has no call for, compiled when they are first needed. The one door to numba.

A compiled function gives the same bits every time: sums are in the order that is written, nothing is reordered. It lets
go of the interpreter's lock. What was compiled is kept on disk, beside the source or in the user's cache, for the next
process; where neither can be written every process compiles for itself.
"""

from collections.abc import Callable
from functools import update_wrapper
from threading import RLock
from typing import Any, Generic, ParamSpec, TypeVar

Asked = ParamSpec("Asked")
Given = TypeVar("Given")


class Compiled(Generic[Asked, Given]):
    """Behaves as a function does. Numba is imported, and the function compiled, when it is first called.

    It may call others of the same file: what is kept on disk is made again when that file changes, not when others do.

    Args:
        function: of arrays and numbers, as numba takes it; `function` stays the plain one.
    """

    def __init__(self, function: Callable[Asked, Given]) -> None:
        self.function = function
        self._dispatcher: Any = None
        self._kept = False
        update_wrapper(self, function)

    def __call__(self, *args: Asked.args, **kwargs: Asked.kwargs) -> Given:
        """Run it."""
        try:
            given: Given = (self._dispatcher or self.dispatcher)(*args, **kwargs)
        except OSError:  # what was compiled could not be written, as on a full disk: nothing is, from now on
            _Disk.usable, self._dispatcher = False, None
            given = self.dispatcher(*args, **kwargs)
        return given

    @property
    def dispatcher(self) -> Any:
        """Numba's."""
        with _one_at_a_time:
            if self._dispatcher is None or self._kept > _Disk.usable:
                self._dispatcher, self._kept = _dispatcher(self.function, keep=_Disk.usable)
            return self._dispatcher


class _Disk:
    usable = True


_one_at_a_time = RLock()


def _dispatcher(function: Callable[..., object], *, keep: bool) -> tuple[Any, bool]:
    """Return numba's dispatcher, and whether it keeps on disk what it compiles."""
    import numba
    from numba.extending import typeof_impl

    if Compiled not in _known:  # so that compiled functions can call each other
        typeof_impl.register(Compiled, lambda each, context: typeof_impl(each.dispatcher, context))
        _known.add(Compiled)
    made = numba.njit(nogil=True, error_model="numpy")(function)
    if keep:
        try:
            made.enable_caching()
        except RuntimeError:  # numba's, where no folder can be written
            return made, False
    return made, keep


_known = set[type]()


def compiled(function: Callable[Asked, Given]) -> Compiled[Asked, Given]:
    """Compile a function when it is first called; a decorator."""
    return Compiled(function)
