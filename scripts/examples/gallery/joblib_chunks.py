"""joblib over chunks of a numpy array: how rough a signal is, measured at many scales."""

import numpy
from joblib import Parallel, delayed


def roughness(chunk, scales):
    return [float(numpy.abs(chunk[scale:] - chunk[:-scale]).sum()) for scale in scales]


if __name__ == "__main__":
    signal = numpy.cumsum(numpy.random.default_rng(7).normal(size=1_600_000))
    scales = [1, 4, 16, 64, 256]
    chunks = numpy.array_split(signal, 8)
    totals = Parallel(n_jobs=2)(delayed(roughness)(chunk, scales) for chunk in chunks)
    for scale, total in zip(scales, numpy.sum(totals, axis=0)):
        print(f"scale {scale:3}: {total / len(signal):.6f}")
