"""What every command has at hand: global options, environment, the project, the engine, the terminal.

One per command line; opened lazily, so that `--help` asks nobody.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from compose_lite.cli import program as names
from compose_lite.disk import Folders, folders
from compose_lite.errors import ApiError, Error, SpecError, UsageError

if TYPE_CHECKING:
    from compose_lite.api.protocol import DockerEngine


OF_DOTENV = ("COMPOSE_IGNORE_ORPHANS", "COMPOSE_MENU", "COMPOSE_REMOVE_ORPHANS")
"""Variables for commands themselves that a project's .env may set too; the environment's own are stronger."""


class OutputClosed(Exception):
    """Who read our output is gone: the command ends as by SIGPIPE."""


def is_true(text: str | None) -> bool:
    """A variable of the environment that switches something on."""
    return (text or "").lower() in ("1", "true", "yes", "on", "t", "y")


@dataclass(frozen=True, slots=True)
class Globals:
    """Options before the command."""

    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    progress: str = "auto"
    ansi: str = "auto"
    parallel: int = -1
    engine: str = ""
    compatibility: bool = False
    dry_run: bool = False
    all_resources: bool = False
    allow_remote: bool = False


@dataclass(slots=True)
class Context:
    options: Globals
    environ: dict[str, str]
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    program: str = names.NAME  # what its texts call it
    _engine: DockerEngine | None = None

    @property
    def cwd(self) -> str:
        said = self.environ.get("PWD", "")
        try:
            if said.startswith("/") and os.path.samefile(said, "."):
                return said
        except OSError:
            pass
        return os.getcwd()

    @property
    def folders(self) -> Folders:
        return folders(self.environ, os.geteuid())

    def print(self, text: str = "") -> None:
        self.out.write(text + "\n")

    def warn(self, text: str) -> None:
        self.err.write(f"WARN: {self.named(text)}\n")

    def named(self, text: str) -> str:
        """The text, its command lines by the name that we were called by."""
        return names.renamed(text, self.program)

    # --- project

    def load_options(self, *, services: Sequence[str] = (), profiles: Sequence[str] = (), **more: Any) -> Any:
        from compose_lite.cli.remotes import Remotes, allowed_by, asking
        from compose_lite.spec.load import LoadOptions

        o = self.options
        allowed = o.allow_remote or allowed_by(self.environ)
        remotes = Remotes(self.folders.data / "remote", self.environ, allowed, asking(self.err), self.warn)
        return LoadOptions(
            environ=self.environ,
            cwd=self.cwd,
            files=o.files,
            project_name=o.project_name,
            project_directory=o.project_directory,
            profiles=(*o.profiles, *profiles),
            env_files=o.env_files,
            services=tuple(services),
            stdin=sys.stdin.read,
            all_resources=o.all_resources,
            fetch=remotes.fetch,
            **more,
        )

    def load(self, *, services: Sequence[str] = (), profiles: Sequence[str] = (), **more: Any) -> Any:
        """The project (spec.Project); its warnings go to stderr."""
        from compose_lite.spec.load import load

        loaded = load(self.load_options(services=services, profiles=profiles, **more))
        for warning in loaded.warnings:
            self.warn(warning)
        self.environ.update({name: loaded.environment[name] for name in OF_DOTENV if name in loaded.environment})
        return loaded.project.with_separator("_") if self.options.compatibility else loaded.project

    def load_or_name(self, services: Sequence[str] = ()) -> tuple[Any, str]:
        """(project, name) for commands on what exists: without a usable file the name alone is enough, if it is given.

        services: those named on the command line, which brings their profiles along.
        """
        from compose_lite.spec.select import with_services_enabled

        name = self.options.project_name or self.environ.get("COMPOSE_PROJECT_NAME")
        if self.options.project_name and not self.options.files and not self.environ.get("COMPOSE_FILE"):
            return None, self.options.project_name
        try:
            # what exists does not depend on env files: one that is missing keeps nobody from stopping it
            project = with_services_enabled(self.load(resolve_env=False), services)
        except SpecError:
            if not name or self.options.files:
                raise
            return None, name
        return project, project.name

    # --- engine

    def engine_url(self) -> str:
        """Ours, unless --engine or COMPOSE_LITE_ENGINE names another: a URL, `docker`, `podman` or a socket's path."""
        chosen = self.options.engine or self.environ.get("COMPOSE_LITE_ENGINE", "")
        if chosen == "docker":
            return self.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        if chosen == "podman":
            runtime = self.environ.get("XDG_RUNTIME_DIR")
            return f"unix://{runtime}/podman/podman.sock" if runtime and os.geteuid() else "unix:///run/podman/podman.sock"
        if chosen.startswith("/"):
            return f"unix://{chosen}"
        if chosen and "://" not in chosen:
            raise UsageError(
                "engine-name", f"unknown engine {chosen!r}", remedy="Say docker, podman or a URL such as unix:///run/docker.sock."
            )
        return chosen or f"unix://{self.folders.engine_socket}"

    @property
    def own_engine(self) -> bool:
        return not (self.options.engine or self.environ.get("COMPOSE_LITE_ENGINE", ""))

    async def engine(self) -> DockerEngine:
        """The engine, started if it is ours and does not run."""
        if self._engine is None:
            from compose_lite.api.client import EngineClient  # with it the event loop and TLS, for who asks an engine only
            from compose_lite.api.protocol import DockerEngine
            from compose_lite.cli.dryrun import DryEngine
            from compose_lite.logins import Logins

            url = self.engine_url()
            if self.own_engine:
                await self._wait_for_own()
            self._engine = DryEngine(url) if self.options.dry_run else DockerEngine(EngineClient(url), Logins(self.environ))
        return self._engine

    async def _wait_for_own(self) -> None:
        """The socket answers, or the family is started and it does then."""
        import anyio

        path = str(self.folders.engine_socket)
        started, refused = -40, 0
        for attempt in range(600):
            try:
                async with await anyio.connect_unix(path):
                    return
            except OSError as error:
                # one that goes idle this moment takes its socket along: then again; a killed one leaves it, and nobody listens there
                refused = refused + 1 if isinstance(error, ConnectionRefusedError) else 0
                if attempt - started >= 40 and (refused > 4 or not os.path.exists(path)):
                    started = attempt
                    from compose_lite import starting

                    failed = await anyio.to_thread.run_sync(starting.start, self.environ)
                    if failed:
                        raise ApiError(failed, code="engine-start") from None
                await anyio.sleep(0.025)
        raise ApiError(f"the engine does not answer at {path}", code="engine-start", remedy="See engine.log in its data folder.")

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.aclose()


def fail(context: Context, error: Error) -> int:
    """Prints the error; the command's exit status."""
    context.err.write(context.named(f"{error}\n"))
    return error.status
