"""Loads OpenMP before it is forked, and asks for more threads than the machine has."""
import ctypes
import os

openmp = ctypes.CDLL("libgomp.so.1")
AT_IMPORT = openmp.omp_get_max_threads()
openmp.omp_set_num_threads(64)


def threads():
    """At the import, now, and what the environment tells libraries loaded later."""
    return [AT_IMPORT, openmp.omp_get_max_threads(), os.environ.get("OPENBLAS_NUM_THREADS", "")]
