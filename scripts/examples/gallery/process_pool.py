"""concurrent.futures.ProcessPoolExecutor: parts of the Mandelbrot set, in whatever order they are ready."""

import concurrent.futures

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


if __name__ == "__main__":
    rows = {}
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as executor:
        futures = {executor.submit(row, y): y for y in range(HEIGHT)}
        for future in concurrent.futures.as_completed(futures):
            rows[futures[future]] = future.result()
    print("\n".join(rows[y] for y in range(HEIGHT)))
