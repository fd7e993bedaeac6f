"""CPython's tests of multiprocessing.Pool with start method fork, in `pyhost run`, which adopts it."""

import adopted

if __name__ == "__main__":
    adopted.run("adopted_fork", "fork")
