"""The worker: keeps a note in the volume: how often it has written it, and how much memory it may use."""

import json
import os
import time
from pathlib import Path

NOTE, count = Path("/notes/worker.json"), 0
while True:
    count += 1
    temporary = NOTE.with_suffix(".new")
    temporary.write_text(
        json.dumps({"written": count, "pid": os.getpid(), "processes_seen": len([p for p in os.listdir("/proc") if p.isdigit()])})
    )
    temporary.replace(NOTE)
    time.sleep(0.2)
