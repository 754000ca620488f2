"""Errors whose examples no test runs, and why each; what else tests the error itself is said where there is something."""

from __future__ import annotations

RUN_BY_SYSTEM_TESTS = frozenset(
    {
        "build-dockerfile",
        "build-source",
        "build-image",
        "build-secret",
        "build-tag",
        "build-target-path",
        "endpoint-exists",
        "endpoint-unknown",
        "exec-start",
        "network-in-use",
        "port-in-use",
        "pre-start-failed",
        "run-failed",
        "wait-failed",
        "wait-timeout",
    }
)
"""tests/system/test_error_pages.py runs them on a real engine."""

REASONS: dict[str, str] = {
    "build-archive": "an archive that ends within a file",
    "build-copy": "a disk that is full while files are copied",
    "build-step": "a base image whose shell is missing: the conformance suite `build`",
    "build-user": "a base image without that user: the conformance suite `build`",
    "container-pause": "a cgroup that does not freeze",
    "container-start": "a monitor that cannot be started",
    "container-unknown": "a runtime that has forgotten a container",
    "forwarder": "a port forwarder that was killed: tests/network/test_publish.py",
    "layer-changed": "files of a layer that somebody changed",
    "layer-clash": "a folder that stands where a layer goes and cannot be moved",
    "lint-fix": "a defect of ours: the rules may not give fixes that change a project",
    "monitor-gone": "a monitor that was killed: tests/system/test_kill9.py",
    "network-attach": "a kernel that refuses an interface",
    "network-bridge": "a kernel that refuses a bridge",
    "network-owner-stopped": "a sidecar whose owner has ended",
    "no-free-port": "a machine all of whose ephemeral ports are taken",
    "port-bind": "an address that the machine does not have",
    "port-not-allowed": "an ordinary user and a port below 1024",
    "remote-fetch": "git's own words, which differ by its version: tests/cli/test_remotes.py",
    "runtime-idmap": "another OCI runtime",
    "runtime-rootless": "an ordinary user and another OCI runtime",
    "stop-ignored": "it is a warning; the command ends well: tests/project/test_stopping.py",
    "subordinate-ids": "an ordinary user without subordinate ids",
    "update-failed": "a rollout that fails half-way",
    "user-namespaces": "a machine that forbids user namespaces",
    "watch-exec": "a watch that goes on while files change: the conformance suite `scenarios`",
    "watch-remove": "a watch that goes on while files change",
    "watch-twice": "a watch that goes on while another begins",
    "whiteout": "a file system that knows no whiteouts: tests/image/test_layers.py",
    "zygote-lost": "a zygote that was killed: tests/system/test_kill9.py",
}
