"""The Mandelbrot set, as process_pool.py draws it, with pyhost: a call that takes too long would be stopped."""

import pyhost

WIDTH, HEIGHT, LIMIT = 72, 24, 1500


def row(y):
    text = ""
    for x in range(WIDTH):
        c = complex(-2.1 + 2.8 * x / WIDTH, -1.2 + 2.4 * y / (HEIGHT - 1))
        z, steps = 0j, 0
        while abs(z) <= 2 and steps < LIMIT:
            z, steps = z * z + c, steps + 1
        text += "#" if steps == LIMIT else " .:-=+*%"[steps.bit_length() % 8]
    return text.rstrip()


with pyhost.Executor(max_workers=2, timeout=30) as executor:
    futures = [executor.submit(row, y) for y in range(HEIGHT)]
    print("\n".join(future.result() for future in futures))
