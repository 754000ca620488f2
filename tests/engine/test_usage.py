"""What `top` shows of a container."""

from __future__ import annotations

import subprocess
import time

from compose_lite.engine import usage
from compose_lite.handoff import zygote_command


def test_no_process_of_ours_is_shown() -> None:
    """A fork of the zygote joins the container before it becomes an exec's program; `top` showed it as a process of the container."""
    command = zygote_command("__doc__.strip", "x")
    command[-2] = "import time; open('/proc/self/comm', 'w').write('cl-zygote'); time.sleep(60) #" + command[-2]
    with subprocess.Popen(command) as helper, subprocess.Popen(["sleep", "60"]) as program:
        for _ in range(100):
            if usage._process(helper.pid) is None:
                break
            time.sleep(0.1)
        shown = usage._process(program.pid)
        assert usage._process(helper.pid) is None
        helper.kill()
        time.sleep(0.1)
        assert usage._process(helper.pid) is None, "nor its zombie"
        program.kill()
    assert shown and shown["CMD"] == "sleep 60"
    assert not usage._is_ours("cl-zygote", "sleep 60")
