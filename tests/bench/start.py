"""The script a user of each pool would write, for start-up: prints when the first result is there.

Usage: [pyhost run] start.py POOL WORKERS NUMPY(0|1)
"""

import sys

if sys.argv[3] == "1":
    __import__("numpy")


def answer(x):
    return x


def say(result):
    print(result, flush=True)


def main(name, workers):
    if name == "mp.Pool":
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            say(pool.apply(answer, (1,)))
    elif name == "futures":
        import concurrent.futures
        with concurrent.futures.ProcessPoolExecutor(workers) as executor:
            say(executor.submit(answer, 1).result())
    elif name.endswith("joblib"):
        import joblib
        with joblib.Parallel(workers) as parallel:
            say(parallel([joblib.delayed(answer)(1)])[0])
    elif name == "pyhost":
        import pyhost
        with pyhost.Executor(max_workers=workers) as executor:
            say(executor.submit(answer, 1).result())
    else:
        say(answer(1))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
