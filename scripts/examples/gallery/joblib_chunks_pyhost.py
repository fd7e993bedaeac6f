"""How rough a signal is, as joblib_chunks.py measures it, with pyhost."""

import numpy

import pyhost


def roughness(chunk, scales):
    return [float(numpy.abs(chunk[scale:] - chunk[:-scale]).sum()) for scale in scales]


signal = numpy.cumsum(numpy.random.default_rng(7).normal(size=1_600_000))
scales = [1, 4, 16, 64, 256]
chunks = numpy.array_split(signal, 8)
totals = list(pyhost.map(roughness, chunks, [scales] * len(chunks)))
for scale, total in zip(scales, numpy.sum(totals, axis=0)):
    print(f"scale {scale:3}: {total / len(signal):.6f}")
