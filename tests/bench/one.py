"""One scenario for one pool, in a process of its own; prints {metric: value} as JSON.

Usage: [pyhost run] one.py SCENARIO POOL WORKERS [PARAMETERS as JSON]
"""

import json
import sys

import calls
import pools
import processes
import trouble

SCENARIOS = {**calls.SCENARIOS, **trouble.SCENARIOS, **processes.SCENARIOS}


def main():
    scenario, name, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    parameters = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    if scenario == "memory":
        __import__("numpy")  # as a script does that uses it: what is shared with the parent counts once
    pool = pools.POOLS[name](workers)
    metrics = SCENARIOS[scenario](pool, **parameters)
    print(json.dumps(metrics), flush=True)
    if "pool_broken" in metrics or "others_lost" in metrics:
        # What is lost is never answered; a pool that waits for it would wait for ever.
        import os
        os._exit(0)
    pool.close()


if __name__ == "__main__":
    main()
