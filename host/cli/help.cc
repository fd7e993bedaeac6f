// help.cc: the pages. Keep `overview` within 24 lines of 80 columns; a test counts.
#include <cli/exit_code.h>
#include <cli/help.h>
#include <cli/spelling.h>

namespace pyhost::cli {
namespace {

struct Topic {
  std::string_view name;
  std::string_view text;
};

constexpr std::string_view kOverview =
    R"(pyhost: runs Python functions on a pool of isolated interpreters

  pyhost map  TARGET [INPUT...]    one call per JSON line, one line per result
  pyhost call TARGET [JSON...]     one call, its result as JSON
  pyhost run  SCRIPT [-- ARGS...]  a script whose parallel work goes to the pool
  pyhost doctor                    what is there, what is missing, what to do
  pyhost help TOPIC                map call run doctor workers limits python
                                   errors signals exit-codes

TARGET is file.py:function or package.module:function.

  -j, --workers N     8, 50%, +2, -1, MIN:MAX or auto (default: the CPUs)
  --timeout SECONDS   per call; also 500ms, 2s, 1m
  --memory SIZE, --cpu SECONDS, --retries N and more: `pyhost help limits`
  --concurrency K     calls at once in each worker, for those that wait
  --python WHICH      an interpreter, a venv folder or a version such as 3.11
  --image, --start, --preload: `pyhost help python`
  -h, --help          also after a command; --version

  $ seq 5 | pyhost map math:factorial
  $ pyhost call math:gcd 12 18
  $ pyhost run script.py --workers 4 -- its arguments
)";

constexpr Topic kTopics[] = {
    {"map", R"(pyhost map TARGET [INPUT...] [options]

Calls the function once per line of the inputs (files, `-` for stdin; stdin when
there is none) and prints one line per result, in input order.

  --call value        the line is one argument, a JSON value (default)
  --call args         the line is an array of positional arguments
  --call kwargs       the line is an object of keyword arguments
  -R, --raw-input     the line is a string, not JSON; empty lines count too
  -0, --null          NUL separates, not the end of line
  -r, --raw-output    strings without quotes and escapes
  --unordered         print results as they come
  --records           one object per call:
                      {"seq":1,"ok":true,"result":...}
                      {"seq":2,"ok":false,"error":{"kind","type","message",...}}
  --init FUNCTION     called once in each worker before its first call
  -j, --timeout, --concurrency and all others: see `pyhost --help`

Blank lines are skipped; CRLF and a byte order mark are fine; a line may have
64 MiB. Read-ahead is bounded, so the input may be endless. What the function
prints goes to stderr. A failed call prints a block to stderr and no line to
stdout (with --records a line too), and counts in the exit status.
Ctrl-C lets running calls finish; a second one kills them. An `async def` is
awaited; with --concurrency K, K of them run at once in each worker.

  $ seq 1 100000 | pyhost map primes.py:is_prime -j2
  $ find . -name '*.py' | pyhost map -R stdlib_census.py:census
  $ echo '{"a": 1, "b": 2}' | pyhost map --call kwargs sums.py:add
)"},
    {"call", R"(pyhost call TARGET [JSON...] [options]

Calls the function once. Every JSON text is one positional argument.

  --kwargs JSON       keyword arguments, as an object
  -r, --raw-output    a string without quotes and escapes
  --init FUNCTION     called before
  --timeout, --memory, --python and all others: see `pyhost --help`

A string needs its own quotes inside those of the shell.

  $ pyhost call math:gcd 12 18
  6
  $ pyhost call textwrap:shorten '"hello there, world"' --kwargs '{"width": 12}'
  "hello [...]"
)"},
    {"run", R"(pyhost run [PYFLAGS] SCRIPT [options] [-- ARGS...]
pyhost run [PYFLAGS] -m MODULE [options] [-- ARGS...]
pyhost run [PYFLAGS] -c CODE [options] [-- ARGS...]

Runs the script as python3 would: argv, sys.path, exit status, stdin, signals
and tracebacks are the same. `import pyhost` inside gives the pool.

  PYFLAGS             python's -X -W -O -u -B -E -I -P -s -S -b -d -q and -i,
                      before the script; after -i SCRIPT, or -i alone, a prompt
  -j, --workers N     default size of the pools the script makes
  --start METHOD      auto, fork (workers start with what the script has
                      imported), zygote or spawn
  --timeout, --retries, --memory, ...   defaults too: `pyhost help limits`
  --adopt WHAT,...    whose process pools run on pyhost: futures, joblib,
                      multiprocessing; or all (default) or none
  -v, --verbose       says on stderr which pools do
  --python, --image, --preload: see `pyhost help python`

Options may stand before or after the script; its own arguments follow `--`.

  $ pyhost run stdlib_census.py --workers 2
  $ pyhost run -X dev -m package.tool -j 50% -- --verbose input.txt
)"},
    {"doctor", R"(pyhost doctor [--json] [--python WHICH]

Lists interpreters, images, CPUs, kernel features and limits, each found or
missing and what to do; then starts a pool per image and calls a function.
Exit status 0 when a pool can run, else 1.

  $ pyhost doctor
  $ pyhost doctor --json | jq '.[] | select(.state == "missing")'
)"},
    {"workers", R"(--workers N: how many processes call the function

  8        as many as you say
  auto     the CPUs this process may use: its affinity, capped by the CPU quota
           of its cgroup (default)
  50%      a share of those CPUs
  -1       one fewer than those CPUs
  +2       two more (for functions that mostly wait)
  1:8      at least one, up to eight while there is work for them; those above
           the minimum end after --idle SECONDS (60) without a call

  --concurrency K            calls at once in each worker: coroutines for an
                             `async def`, else threads (1)
  --threads-per-worker N     threads of BLAS and OpenMP (CPUs / workers)
  --max-tasks-per-worker N   a worker is replaced after N calls, or
  --max-worker-age SECONDS   when it is so old, or
  --max-worker-memory SIZE   when it holds so much between two calls
  --init FUNCTION            of the target's script or module, called once in
                             each worker before its first call (map, call)

Each worker is one process with one interpreter. A worker that dies costs the
calls it was running; it is replaced, and the others do not notice.

  $ pyhost map etl.py:load files.jsonl -j -1
  $ pyhost map fetch.py:page urls.jsonl -j 2 --concurrency 100
  $ taskset -c 0-3 pyhost map etl.py:load files.jsonl     # four workers
)"},
    {"limits", R"(Limits: what a call and a worker may take

  --timeout SECONDS   time a call may run, from its start
  --cpu SECONDS       CPU time it may use
  --grace SECONDS     a call over its limit gets an exception, so that it can
                      clean up; its worker is killed so much later (1; 0: at
                      once)
  --memory SIZE       what a worker may hold: 512M, 2G, 1GiB; shared memory is
                      not counted. Python raises MemoryError where it can, else
                      the worker is killed
  --retries N         how often a call may run once more when it failed (0).
                      Without it nothing runs twice
  --retry-on WHAT,... only for these: crashed, timeout, memory, cpu, exception,
                      or names of exceptions, subclasses included

Times are seconds or have a unit: 500ms, 2s, 1m, 1h. A limit costs the call that
reached it, no other one. Exception: with --concurrency, a thread that does not
stop takes the other calls of its worker with it, after the grace period.

  $ pyhost map etl.py:load files.jsonl --timeout 30 --memory 1G
  $ pyhost map fetch.py:page urls.jsonl --retries 2 --retry-on OSError,timeout
)"},
    {"python", R"(--python WHICH: the interpreter

  /opt/py/bin/python3   a path
  .venv                 the folder of a virtual environment
  3.11                  a version, found on PATH
  (nothing)             $VIRTUAL_ENV, then python3 on PATH

--image: how it is brought up
  executable            the interpreter's own program
  libpython             its shared library, loaded into a process of pyhost
  auto                  whichever is faster for this interpreter (default)

--start: where workers come from
  zygote                one process loads the script and is forked (default)
  spawn                 a fresh interpreter per worker; slower, nothing shared
  fork                  only `run`: copies of the running script

CPython 3.9 or newer; each minor version needs its core. `pyhost doctor` shows
what was found.

  $ pyhost map --python .venv etl.py:load files.jsonl
  $ pyhost call --image libpython platform:python_version
)"},
    {"errors", R"(Errors: one block on stderr per failed call, and `"kind"` in --records

  exception  the function raised: fix the function
  crashed    its process died: the block tells how, the likely cause, where
             Python was, what it wrote last and how much memory it had
  timeout    it ran longer than --timeout
  memory     it, or its worker, reached --memory
  cpu        it used more CPU time than --cpu
  cancelled  somebody cancelled it
  marshal    a value cannot cross: the message names its path (in JSON there is
             no NaN, no set, no datetime)
  startup    the script or the interpreter cannot start; nothing ran
  protocol   a worker broke the protocol and was replaced: please report it

Other calls are not affected. Nothing is run twice without --retries. In
--records an error has "kind", "message" and what is known of "type",
"traceback", "frames", "cause", "worker", "signal", "exit_code", "likely_cause",
"call", "seconds", "peak_memory" (bytes), "attempts", "stack" and "stderr".

  $ echo '[1, 0]' | pyhost map --call args --records operator:truediv
)"},
    {"signals", R"(Signals to map and call

  Ctrl-C     (SIGINT) gives out no more calls, waits for those that run, prints
             what was done. The call of `pyhost call` gets an exception instead
  Ctrl-C     again: kills what runs; what was done is printed
  SIGTERM    as Ctrl-C; the exit status is 143 instead of 130
  SIGUSR1    prints what every worker runs, for how long, and its Python stack;
             everything goes on
  SIGPIPE    nobody reads stdout any more: ends without a word

In `pyhost run` signals are the script's own, as under python3; SIGUSR1 shows
where the script and the workers are, unless the script handles it.

  $ pkill -USR1 -x pyhost
)"},
    {"exit-codes", R"(Exit status of map and call (GNU parallel's) and of pyhost itself

  0        every call returned
  1-100    that many calls failed
  101      more than 100 calls failed
  2        also: the command line is wrong (nothing ran; stderr says so)
  130      interrupted by Ctrl-C;  143: by SIGTERM
  141      the reader of stdout is gone (ended by SIGPIPE)
  255      pyhost itself failed: no interpreter, the script does not load, ...

`run` exits as the script does. `doctor` exits 0 or 1.

  $ printf '1\n"x"\n' | pyhost map math:sqrt; echo $?
)"},
};

}  // namespace

std::string_view overview() {
  return kOverview;
}

std::string_view topic(std::string_view name) {
  for (const Topic& topic : kTopics) {
    if (topic.name == name) return topic.text;
  }
  return {};
}

std::vector<std::string> topic_names() {
  std::vector<std::string> names;
  for (const Topic& topic : kTopics) names.emplace_back(topic.name);
  return names;
}

int print_overview() {
  Messages messages;
  return write_out(kOverview, messages);
}

int print_topic(const std::string& name) {
  if (name == "help") return print_overview();
  Messages messages;
  if (const std::string_view text = topic(name); !text.empty()) return write_out(text, messages);
  const std::vector<std::string> names = topic_names();
  std::string list;
  for (const std::string& known : names) list += " " + known;
  messages.say("no help on `" + name + "`" + suggestion(name, names));
  messages.write("  topics:" + list + "\n");
  return kUsage;
}

int usage_error(Messages& messages, const Error& error, std::string_view topic_name) {
  messages.say(error.message);
  messages.write("  see `pyhost help " + std::string(topic_name) + "`\n");
  return kUsage;
}

}  // namespace pyhost::cli
