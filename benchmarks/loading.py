"""Milliseconds of processor time that a warm process needs to load many services. `python benchmarks/loading.py [--profile]`."""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import tempfile
import time
from pathlib import Path

from compose_lite.spec.load import LoadOptions, load

SERVICE = """\
  s{n}:
    image: registry.example.org/team/service-{n}:1.{n}
    command: ["serve", "--port", "{port}"]
    environment: {{LOG_LEVEL: "${{LEVEL:-info}}", NUMBER: "{n}", NAME: service-{n}}}
    ports: ["{port}:80"]
    volumes: ["data:/data/{n}", "./conf:/etc/service:ro"]
    networks: [back]
    depends_on: [{needs}]
    healthcheck: {{test: ["CMD", "true"], interval: 10s, timeout: 5s, retries: 3}}
    deploy: {{resources: {{limits: {{cpus: "0.5", memory: 64M}}}}}}
    labels: {{team: core, number: "{n}"}}
    restart: unless-stopped
"""


def text(count: int) -> str:
    services = [SERVICE.format(n=n, port=8000 + n, needs=f"s{n - 1}" if n % 10 else "") for n in range(count)]
    return "services:\n" + "".join(services) + "networks: {back: {}}\nvolumes: {data: {}}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for count in (50, 500, 1000):
            (Path(folder) / "compose.yaml").write_text(text(count))
            options = LoadOptions({}, folder, project_name="bench")
            times = []
            for _ in range(12 if count < 500 else 6):
                begin = time.process_time()
                load(options)
                times.append((time.process_time() - begin) * 1000)
            least = min(times)
            print(f"{count:5} services: median {statistics.median(times):.1f} ms, least {least:.1f} ms, {least / count:.3f} ms each")
        if "--profile" in sys.argv:
            (Path(folder) / "compose.yaml").write_text(text(500))
            with cProfile.Profile() as profile:
                load(options)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
