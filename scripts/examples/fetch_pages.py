"""Fetches thousands of pages and reads their titles and links: much waiting, and some work for each page.

    pyhost run scripts/examples/fetch_pages.py

Serves the pages itself, on the loopback interface, each after 50 ms. Fetches them through pyhost with many calls
at once in each worker, as coroutines and as threads that block; then with a thread pool and with asyncio alone,
the same number at a time. Prints pages per second, and checks that all found the same.

With a server of your own, one URL per line as a JSON string:

    pyhost map scripts/examples/fetch_pages.py:fetch urls.jsonl --workers 2 --concurrency 100

Arguments: --pages N, --workers N, --at-once N (calls at once in each worker), --latency SECONDS.
"""

import argparse
import asyncio
import concurrent.futures
import hashlib
import http.client
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import weakref
from html.parser import HTMLParser

LINKS = 20  # on each page


class Page(HTMLParser):
    """Collects the title and the links."""

    def __init__(self):
        super().__init__()
        self.title, self.links, self.in_title = "", [], False

    def handle_starttag(self, tag, attributes):
        self.in_title = tag == "title"
        if tag == "a":
            self.links += [value for name, value in attributes if name == "href"]

    def handle_data(self, data):
        if self.in_title:
            self.title += data
            self.in_title = False


def read_page(url, body):
    """What is kept of a page; the CPU's part of the work."""
    page = Page()
    page.feed(body.decode())
    return {"url": url, "title": page.title, "links": len(page.links), "sha": hashlib.sha256(body).hexdigest()[:16]}


# -- one page, without blocking

_idle = weakref.WeakKeyDictionary()  # event loop -> open connections that nobody uses: [(place, reader, writer)]


async def fetch(url):
    """Fetches a page in a coroutine, over a connection that is used again."""
    place = urllib.parse.urlsplit(url)
    idle = _idle.setdefault(asyncio.get_running_loop(), [])
    at = next((i for i, one in enumerate(idle) if one[0] == place.netloc), None)
    if at is not None:
        _, reader, writer = idle.pop(at)
    else:
        reader, writer = await asyncio.open_connection(place.hostname, place.port or 80)
    try:
        writer.write(f"GET {place.path or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if " 200 " not in head[0]:
            raise OSError(f"`{url}` answered {head[0]}")
        body = await reader.readexactly(int(fields["content-length"]))
    except BaseException:  # a call that is cancelled leaves half an answer in its connection
        writer.close()
        raise
    idle.append((place.netloc, reader, writer))
    return read_page(url, body)


# -- one page, blocking

_thread = threading.local()


def fetch_blocking(url):
    """Fetches a page and waits for it, over the connection of this thread."""
    place = urllib.parse.urlsplit(url)
    if getattr(_thread, "place", None) != place.netloc:
        _thread.place, _thread.connection = place.netloc, http.client.HTTPConnection(place.netloc, timeout=30)
    _thread.connection.request("GET", place.path or "/")
    answer = _thread.connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise OSError(f"`{url}` answered {answer.status}")
    return read_page(url, body)


# -- the server

def page_text(path):
    links = "".join(f'<li><a href="{path}/{i}">a link that says where it goes</a></li>\n' for i in range(LINKS))
    return f"<html><head><title>Page {path}</title></head>\n<body><ul>\n{links}</ul></body></html>\n".encode()


async def serve(latency):
    """Answers every path with a page, until stdin ends; prints the port."""
    async def answer(reader, writer):
        try:
            while request := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                await asyncio.sleep(latency)
                body = page_text(request.split()[1].decode())
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):  # the latter when the server ends
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# -- four ways to fetch them all

def with_pyhost(function, urls, workers, at_once):
    import pyhost  # here, so that `pyhost map` and plain Python can use the functions without it

    with pyhost.Executor(workers, concurrency=at_once) as executor:
        begin = time.perf_counter()
        pages = list(executor.map(function, urls))
        return pages, time.perf_counter() - begin


def with_thread_pool(urls, threads):
    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        begin = time.perf_counter()
        pages = list(executor.map(fetch_blocking, urls))
        return pages, time.perf_counter() - begin


def with_asyncio(urls, at_once):
    async def fetch_all():
        turn = asyncio.Semaphore(at_once)

        async def fetch_one(url):
            async with turn:
                return await fetch(url)

        return await asyncio.gather(*map(fetch_one, urls))

    begin = time.perf_counter()
    pages = asyncio.run(fetch_all())
    return pages, time.perf_counter() - begin


def compare(urls, workers, at_once):
    """Prints the table; returns whether all ways found the same pages."""
    total = workers * at_once
    ways = [(f"pyhost, {workers} workers, {at_once} coroutines each",
             lambda: with_pyhost(fetch, urls, workers, at_once)),
            (f"pyhost, {workers} workers, {at_once} threads each",
             lambda: with_pyhost(fetch_blocking, urls, workers, at_once)),
            (f"asyncio alone, {total} coroutines", lambda: with_asyncio(urls, total)),
            (f"ThreadPoolExecutor, {total} threads", lambda: with_thread_pool(urls, total))]
    expected, equal = None, True
    print(f"{'':42} {'pages/s':>9} {'seconds':>9}")
    for name, way in ways:
        pages, seconds = way()
        print(f"{name:42} {len(pages) / seconds:9,.0f} {seconds:9.2f}", flush=True)
        expected = expected or pages
        equal = equal and pages == expected
    return equal and [page["url"] for page in expected] == urls


def main():
    parser = argparse.ArgumentParser(description="fetches pages from a server of its own")
    parser.add_argument("--pages", type=int, default=4000, metavar="N")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--at-once", type=int, default=50, metavar="N", help="calls at once in each worker")
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS", help="of each page")
    parser.add_argument("--serve", action="store_true", help="only serve the pages, and print the port")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.latency))
        return 0

    server = subprocess.Popen([sys.executable, __file__, "--serve", "--latency", str(options.latency)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        urls = [f"http://127.0.0.1:{port}/page/{number}" for number in range(options.pages)]
        if not compare(urls, options.workers, options.at_once):
            print("the pages found differ", file=sys.stderr)
            return 1
        print("all found the same pages")
        return 0
    finally:
        server.kill()
        server.communicate()


if __name__ == "__main__":
    sys.exit(main())
