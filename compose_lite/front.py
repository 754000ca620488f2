"""The `compose-lite` command: hands its line to a warm worker and lives only to pass signals and the exit status.

Builtin modules only on the way of a warm command: each import here is paid by every command. What wants no engine runs in
this process while no template is warm; anything else starts the engine's family first. It must never print by itself but
for errors of its own.
"""

import _signal as signal  # type: ignore[import-not-found]  # typeshed knows it by its public name alone
import _socket as socket
import posix
import sys

from compose_lite import handoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Commands that need no engine; those of them that come again soon, for which a cold one leaves a template behind; and the global
# options that take a value (to find the command's name behind them).
ALONE = ("config", "convert", "help", "version", "engine", "graph", "lint", "completion", "man", "__complete", "__completeNoDesc")
QUICK = ("config", "convert", "graph", "lint", "__complete", "__completeNoDesc")
VALUED = (
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--profile",
    "--env-file",
    "--project-directory",
    "--progress",
    "--ansi",
    "--parallel",
    "--engine",
)
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH, signal.SIGUSR1, signal.SIGUSR2)
FATAL = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
RLIMITS = (0, 1, 2, 3, 4, 6, 7, 8)


def main() -> int:
    """The exit status of the command line in sys.argv."""
    argv = sys.argv[1:]
    if b"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND" in posix.environ and "compose" in argv:
        argv = of_docker(argv)
    elif argv[:1] == ["docker-cli-plugin-metadata"]:
        return in_process(argv)
    run = run_folder()
    connection = connect(run + "/worker.sock")
    if connection is None:
        if not argv or command_of(argv) in ALONE or {"-h", "--help", "-v", "--version"} & set(argv[:1]) or elsewhere(argv):
            done = in_process(argv)
            if command_of(argv) in QUICK or elsewhere(argv):
                from compose_lite import starting

                starting.warm()
            return done
        from compose_lite import starting  # cold: whoever waits for an engine to start can wait for these imports

        try:
            failed = starting.start()
        except KeyboardInterrupt:
            return 130
        if failed:
            sys.stderr.write(failed + "\n")
            return 1
        connection = connect(run + "/worker.sock")
        if connection is None:
            return in_process(argv)
    status = serve_through(connection, argv)
    return in_process(argv) if status is None else status


def of_docker(argv: "Sequence[str]") -> "list[str]":
    """Our words of a plugin's line, `[docker's options] compose WORDS...`; the program is called `docker compose` from here on.

    docker closes the socket that it names when it is told to end and has no terminal that would tell us too.
    """
    at = argv.index("compose")
    before, rest = list(argv[:at]), list(argv[at + 1 :])
    sys.argv[0] = "docker compose"
    del posix.environ[b"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"]  # what we run is no plugin
    path = posix.environ.pop(b"DOCKER_CLI_PLUGIN_SOCKET", b"").decode("utf-8", "surrogateescape")
    made = connect("\0" + path[1:] if path.startswith("@") else path) if path else None
    if made is not None:
        import _thread

        _thread.start_new_thread(end_with, (made,))
    if before[:1] in (["__complete"], ["__completeNoDesc"], ["help"]):
        return [before[0], *rest]
    for place, option in enumerate(before):
        name, equals, value = option.partition("=")
        if name in ("-H", "--host"):
            return ["--engine", value if equals else before[place + 1], *rest]
    return rest


def end_with(connection: "socket.socket") -> None:
    while receive(connection, 1):
        pass
    posix.kill(posix.getpid(), signal.SIGTERM)


def run_folder() -> str:
    """The runtime folder, as disk.folders chooses it."""
    chosen = posix.environ.get(b"COMPOSE_LITE_RUN_DIR")
    if chosen:
        return chosen.decode("utf-8", "surrogateescape")
    uid = posix.geteuid()
    if uid == 0:
        return "/run/compose-lite"
    runtime = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if runtime:
        try:
            posix.stat(runtime)
        except OSError:
            pass
        else:
            return runtime + "/compose-lite"
    return f"/tmp/compose-lite-{uid}"


def connect(path: str) -> "socket.socket | None":
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.connect(path)
    except OSError:
        made.close()
        return None
    return made


def command_of(argv: "Sequence[str]") -> str:
    """The first word that is neither an option nor an option's value; empty if there is none."""
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in VALUED:
            skip = True
        elif not word.startswith("-"):
            return word
    return ""


def elsewhere(argv: "Sequence[str]") -> bool:
    """Another engine is asked for: ours is not started for it."""
    return bool(posix.environ.get(b"COMPOSE_LITE_ENGINE")) or any(w == "--engine" or w.startswith("--engine=") for w in argv)


def serve_through(connection: "socket.socket", argv: "Sequence[str]") -> "int | None":
    """The worker's exit status; None if it will not serve this caller."""
    request: dict[str, object] = {
        "v": handoff.STAMP,
        "argv": list(argv),
        "prog": sys.argv[0],
        "cwd": working_folder(),
        "env": callers_environ(),
        "umask": current_umask(),
        "rlimits": limits(),
        "mnt": posix.readlink("/proc/self/ns/mnt"),
    }
    message = handoff.pack(request)
    fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
    try:
        sent = connection.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        if sent < len(message):
            connection.sendall(message[sent:])
    except OSError:
        return None
    worker = told = 0

    def forward(number: int, _frame: object) -> None:
        nonlocal told
        if number in FATAL:
            told = number
        if worker:
            try:
                posix.kill(worker, number)
            except OSError:
                pass

    def stop(_number: int, _frame: object) -> None:
        """Ctrl-Z: the worker sleeps while we do."""
        forward(signal.SIGSTOP, None)
        posix.kill(posix.getpid(), signal.SIGSTOP)
        forward(signal.SIGCONT, None)

    for number in FORWARDED:
        signal.signal(number, forward)
    signal.signal(signal.SIGTSTP, stop)
    while True:
        data = receive(connection, 5)
        if data[:1] == handoff.PID:
            worker = int.from_bytes(data[1:], "little")
        elif data[:1] == handoff.EXIT:
            return int.from_bytes(data[1:], "little", signed=True)
        elif data[:1] == handoff.REFUSED:
            return None
        else:
            if not worker:
                return None
            if told:  # it was told to end, and did; Docker Compose answers SIGTERM as it does Ctrl-C
                return 130 if told == signal.SIGTERM else 128 + told
            posix.write(2, b"compose-lite: the worker of this command was killed\n")
            return 137


def receive(connection: "socket.socket", length: int) -> bytes:
    data = b""
    while len(data) < length:
        try:
            part = connection.recv(length - len(data))
        except OSError:
            return b""
        if not part:
            return b""
        data += part
    return data


def working_folder() -> str:
    """$PWD where it is true (a link stays a link, as shells show it), else getcwd."""
    try:
        real = posix.getcwd()
    except OSError:
        return ""
    said = posix.environ.get(b"PWD", b"").decode("utf-8", "surrogateescape")
    if said.startswith("/"):
        try:
            one, other = posix.stat(said), posix.stat(real)
        except OSError:
            return real
        if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
            return said
    return real


def current_umask() -> int:
    mask = posix.umask(0o022)
    posix.umask(mask)
    return mask


def limits() -> list[tuple[int, int, int]]:
    import resource  # a builtin or a small extension; no Python file

    return [(kind, *resource.getrlimit(kind)) for kind in RLIMITS]


def in_process(argv: "Sequence[str]") -> int:
    from compose_lite.cli.main import run

    return run(list(argv), dict(posix_environ()), sys.argv[0])


def posix_environ() -> "dict[str, str]":
    return {k.decode("utf-8", "surrogateescape"): v.decode("utf-8", "surrogateescape") for k, v in callers_environ().items()}


def callers_environ() -> "dict[bytes, bytes]":
    """The environment as it was given: in the C locale Python sets LC_CTYPE for itself (PEP 538), which no container is to inherit."""
    found = dict(posix.environ)
    if found.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        given = posix.open("/proc/self/environ", posix.O_RDONLY | posix.O_CLOEXEC)
        raw = b""
        while part := posix.read(given, 1 << 16):
            raw += part
        posix.close(given)
        if b"LC_CTYPE" not in [entry.partition(b"=")[0] for entry in raw.split(b"\0")]:
            del found[b"LC_CTYPE"]
    return found
