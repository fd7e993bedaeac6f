"""What the benchmarks call."""


def noop(x):
    return x


def square(x):
    return x * x
