"""threading and queue: threads hash blocks, which hashlib does without the interpreter's lock."""

import hashlib
import queue
import threading


def block(number):
    return number.to_bytes(8, "little") * 500_000


def work(numbers, digests):
    for number in iter(numbers.get, None):
        digests[number] = hashlib.sha256(block(number)).hexdigest()


if __name__ == "__main__":
    numbers, digests = queue.Queue(), {}
    threads = [threading.Thread(target=work, args=(numbers, digests)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(24):
        numbers.put(number)
    for _ in threads:
        numbers.put(None)
    for thread in threads:
        thread.join()
    for number, digest in sorted(digests.items()):
        print(f"block {number:2}: {digest[:16]}")
