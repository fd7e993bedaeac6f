"""What multiprocessing calls a worker, on both sides."""


def full_identity(facts, identity):
    """Where the worker is among the processes of multiprocessing. `facts`: what it inherits, by `_inheritance`."""
    return (*facts.get("parent_identity", ()), identity)


def name_of(facts, number, identity):
    """`multiprocessing.current_process().name` in it."""
    prefix = facts.get("name")
    if not prefix:
        return f"pyhost-worker-{number}"
    return f"{prefix}-{':'.join(map(str, full_identity(facts, identity)))}"
