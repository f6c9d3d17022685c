"""Prints what bench-compose.sh measured: bench_compose.py ROWS CORE, one JSON object of `hemostat bench load` a line.

Medians over the rounds, and each as a ratio to one analyzer.
"""

import json
import os
import statistics
import sys


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores ({names[0] if names else 'unnamed'}), load {os.getloadavg()[1]:.1f} over 5 minutes"


with open(sys.argv[1], encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
by_replicas = {}
for row in rows:
    by_replicas.setdefault(row["replicas"], []).append(row)
one = statistics.median(row["answers_per_second"] for row in by_replicas[1])
print(machine())
print(f"{rows[0]['alerts']} alerts about {rows[0]['containers']} containers, {len(by_replicas[1])} rounds, {sys.argv[2]} core for each analyzer")
print(f"{'analyzers':>9} {'answers/s':>10} {'least':>8} {'most':>8} {'to one':>7}")
for replicas, measured in sorted(by_replicas.items()):
    rates = [row["answers_per_second"] for row in measured]
    median = statistics.median(rates)
    kept_up = " (kept up with the writing)" if any(row["bounded_by_writer"] for row in measured) else ""
    print(f"{replicas:>9} {median:>10.0f} {min(rates):>8.0f} {max(rates):>8.0f} {median / one:>7.2f}{kept_up}")
