"""What runs in workers besides the user's functions. Imported there by name."""


def apply(function, args, kwargs):
    """Calls a callable that travelled as an argument, because it has state that may change between calls."""
    return function(*args, **kwargs) if kwargs else function(*args)
