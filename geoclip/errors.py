"""The errors a caller may meet: each message is one sentence a person can act on."""


class GeoclipError(Exception):
    """Base of every error this package raises on purpose; the command line prints its message and exits 2."""


class InputError(GeoclipError, ValueError):
    """An argument, a coordinate, a column or a file that cannot be used as given."""


class PhotoError(GeoclipError):
    """One photo that cannot be read. A run over many photos names it, skips it and goes on."""


class WeightsError(GeoclipError):
    """Weights or a gallery that are missing, damaged, unreachable or of another shape."""
