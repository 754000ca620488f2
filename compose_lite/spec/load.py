"""Compose files -> Project: finds and reads the files, runs the passes in order.

The only file of spec/ that reads the disk; everything it calls is pure. Never talks to an engine.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from compose_lite.errors import Place, SpecError
from compose_lite.ids import normalize_project_name
from compose_lite.spec import check, discover, envfiles, interpolate, merge, normalize, remote, reuse, schema, select, shortforms
from compose_lite.spec.bind import bind
from compose_lite.spec.document import LARGEST, Document, Map, Replaced, clone, parse, place_of, take_out
from compose_lite.spec.models.project import Project


@dataclass(frozen=True, slots=True)
class Statement:
    """One document as it was read, for `config --explain`. raw: before variables are replaced, value: after.

    role: `file` for the project's own, `include` or `extends`. folder: what its paths are relative to. env_files: where its variables
    come from beside the caller's environment, the strongest first. replaced: what `!reset` and `!override` take out of earlier ones.
    """

    file: str
    role: str
    raw: Map
    value: Map
    folder: str
    environ: Mapping[str, str]
    env_files: tuple[str, ...]
    replaced: Replaced


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a command line says about the project. environ is the caller's environment, cwd its folder.

    files: -f (`-` is stdin); empty: COMPOSE_FILE, else compose.yaml & Co. in cwd and its parents.
    services: names on the command line: they are activated, and the project is cut down to them and what they need.
    profiles: --profile; empty: COMPOSE_PROFILES. env_files: --env-file; empty: COMPOSE_ENV_FILES, else .env.
    all_resources: keep networks, volumes, ... that no active service uses.
    dependencies: whether `services` brings along what they need.
    heard: told of every document that is read, in order.
    fetch: gives the local copy of a remote file of `include` and `extends`; None: such files are refused.
    """

    environ: Mapping[str, str]
    cwd: str
    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    stdin: Callable[[], str] = lambda: ""
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    resolve_env: bool = True
    consistency: bool = True
    all_resources: bool = False
    dependencies: bool = True
    heard: Callable[[Statement], None] | None = None
    fetch: Callable[[remote.Remote, Place | None], str] | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """environment: what variables were taken from: environ over .env files, with COMPOSE_PROJECT_NAME."""

    project: Project
    warnings: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """The project as one plain mapping, before it is typed (for `config --no-interpolate` and `--variables`)."""

    tree: Map
    warnings: tuple[str, ...]
    environment: Mapping[str, str]


def load(options: LoadOptions) -> Loaded:
    """The project, complete and checked. Raises SpecError (or GraphError for a dependency cycle)."""
    with _no_collection():
        reading = _Reading(options)
        source = reading.find()
        tree, name = reading.model(source)
        return Loaded(reading.project(tree, name, source), tuple(reading.warnings), reading.environ)


def load_model(options: LoadOptions) -> LoadedModel:
    """The merged document alone: nothing is selected or typed, and nothing is taken from the environment."""
    with _no_collection():
        reading = _Reading(options)
        tree, name = reading.model(reading.find(), bare=not options.interpolate)
        if options.normalize:
            tree["name"] = name
        return LoadedModel(tree, tuple(reading.warnings), reading.environ)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Thousands of small values are made, none in cycles: looking for garbage meanwhile would cost a third of the time."""
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()  # what was made counts as old now, else all of it would be looked at at once
            if not frozen:
                gc.unfreeze()
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a file is read within. folder: the project directory; prefix: its paths, relative to the including file's."""

    folder: str
    prefix: str
    environ: Mapping[str, str]
    included: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """One load: what was read and what there is to warn of."""

    options: LoadOptions
    warnings: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    stdin: str | None = None

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def find(self) -> discover.Source:
        """Finds the files and the environment."""
        o = self.options
        source = discover.discover(o.files, o.project_directory, o.env_files, o.environ, o.cwd, self.warn, self.local)
        self.environ = dict(source.environ)
        return source

    # -- the disk -----------------------------------------------------------------------------------------------

    def open(self, file: str, place: Place | None = None) -> list[Document]:
        """The documents of a file. Each reader gets trees of its own."""
        if file == "-":
            self.stdin = self.options.stdin() if self.stdin is None else self.stdin
            return parse("-", self.stdin.encode("utf-8", "surrogateescape"))
        try:
            with open(file, "rb") as source:  # may be a pipe or a device, which has no size and perhaps no end
                content = source.read(LARGEST + 1)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            words = (getattr(error, "strerror", None) or str(error)).lower()
            raise SpecError("file-missing", f"open {file}: {words}", place=place) from None
        return parse(file, content)

    # -- the passes ---------------------------------------------------------------------------------------------

    def model(self, source: discover.Source, *, bare: bool = False) -> tuple[Map, str]:
        """The merged, long-form, complete document, and the project's name. bare: as if there were no environment."""
        o = self.options
        documents = [self.open(file) for file in source.files]
        name = self.name(source, documents)
        self.environ["COMPOSE_PROJECT_NAME"] = name
        environ = {} if bare else self.environ
        scope = _Scope(source.folder, source.folder, environ, env_files=source.read_env_files)
        tree = self.files(documents, scope, resolve=o.resolve_paths)
        if not tree:
            raise SpecError("empty", "empty compose file", place=Place(source.files[0]), remedy="It needs at least `services:`.")
        if not name:
            says = "project name must not be empty"
            raise SpecError("project-name", says, remedy="Give one with --project-name, or `name:` in the file.")
        if o.normalize:
            tree["name"] = name
            normalize.complete(tree, environ)
        return tree, name

    def name(self, source: discover.Source, documents: list[list[Document]]) -> str:
        """--project-name, COMPOSE_PROJECT_NAME, `name:` of the last file that has one, the folder's name."""
        given = self.options.project_name or self.environ.get("COMPOSE_PROJECT_NAME") or ""
        if given:
            fitting = normalize_project_name(given)
            if given != fitting:
                says = (
                    f'invalid project name "{given}": must consist only of lowercase alphanumeric characters, hyphens, '
                    "and underscores as well as start with a letter or number"
                )
                raise SpecError(
                    "project-name", says, remedy=f"Say {normalize_project_name(given)!r}." if normalize_project_name(given) else None
                )
            return given
        written = [d.value["name"] for file in documents for d in file if isinstance(d.value, Map) and d.value.get("name")]
        if not written:
            return normalize_project_name(source.name)
        name = str(written[-1])
        if self.options.interpolate:
            holder = Map({"name": name})
            interpolate.interpolate(holder, self.environ.get, self.warn)
            name = holder["name"]
        return normalize_project_name(name) if self.options.normalize else name

    def files(self, documents: list[list[Document]], scope: _Scope, *, resolve: bool) -> Map:
        """All files as one document: each merged into what the earlier ones said."""
        tree = Map()
        for document in (one for file in documents for one in file):
            tree = self.merged(tree, document, scope)
        normalize.set_defaults(tree)
        check.check_document(tree)
        if resolve:
            normalize.resolve_paths(tree, self.paths(scope.prefix))
        normalize.take_environment(tree, scope.environ)
        return tree

    def merged(self, tree: Map, document: Document, scope: _Scope) -> Map:
        """One more document on top of the tree."""
        own = self.own(document, scope, "include" if scope.included else "file", scope.folder)
        self.include(own, replace(scope, included=(*scope.included, document.file)))
        take_out(tree, document.replaced)
        reuse.apply_extends(own, document.file, document.replaced, lambda path, place: self.base(path, place, scope))
        tree = merge.merge(tree, own) if tree else own
        merge.drop_repeated(tree)
        schema.check_form(tree, document.file)
        if "version" in tree:
            self.warn(
                f"{document.file}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"
            )
            del tree["version"]
        shortforms.make_long(tree, self.warn, lenient=not self.options.interpolate)
        merge.keep_last(tree)
        return tree

    def own(self, document: Document, scope: _Scope, role: str, folder: str) -> Map:
        """The document's own content, variables replaced."""
        tree = document.value
        if not isinstance(tree, Map):
            raise SpecError("schema", "top-level object must be a mapping", place=document.place)
        raw = clone(tree) if self.options.heard else tree
        if self.options.interpolate:
            interpolate.interpolate(tree, scope.environ.get, self.warn)
        if self.options.heard:
            told = clone(tree), folder, scope.environ, scope.env_files, document.replaced
            self.options.heard(Statement(document.file, role, raw, *told))
        return tree

    def include(self, tree: Map, scope: _Scope) -> None:
        for entry in reuse.includes(tree, scope.folder, self.warn, self.local):
            reuse.check_include_cycle(scope.included, entry.files[0], entry.place)
            env_files = entry.env_files or discover.default_env_file(entry.folder)
            environ = discover.with_env_files(scope.environ, env_files, self.warn, entry.place)
            documents = [self.open(file, entry.place) for file in entry.files]
            prefix = discover.near_prefix(entry.folder, entry.prefix)
            inner = _Scope(
                entry.folder,
                prefix,
                environ,
                scope.included,
                (*scope.env_files, *reversed(env_files)),
            )
            reuse.import_resources(self.files(documents, inner, resolve=True), tree)
        tree.pop("include", None)

    def local(self, path: str, folder: str, place: Place | None) -> str:
        """The absolute path of a file that another one names; one from elsewhere is fetched."""
        if not remote.is_elsewhere(path):
            return discover.absolute(path, folder)
        found = remote.parse(path)
        if found is None or self.options.fetch is None:
            raise discover.remote_refused(path, place)
        return self.options.fetch(found, place)

    def base(self, path: str, place: Any, scope: _Scope) -> reuse.Base:
        """A file that is extended, made canonical by itself; its form is checked once it is merged."""
        file = self.local(path, scope.folder, place)
        tree = Map()
        replaced: Replaced = {}
        for document in self.open(file, place):
            own = self.own(document, scope, "extends", file.rpartition("/")[0] or "/")
            take_out(tree, document.replaced)
            tree = merge.merge(tree, own) if tree else own
            shortforms.make_long(tree, self.warn, lenient=not self.options.interpolate)
            merge.keep_last(tree)
            replaced = document.replaced
        services = tree.get("services")
        if not isinstance(services, Map):
            says = f"cannot extend a service of {file}: it has no services section"
            raise SpecError("extends-unknown", says, place=place_of(tree, ("services",)) or place)
        normalize.resolve_paths(tree, self.paths(discover.relative(file.rpartition("/")[0] or "/", scope.folder)))
        return reuse.Base(services, replaced)

    def paths(self, base: str) -> normalize.Paths:
        return normalize.Paths(base, self.environ.get("HOME"), discover.follow_link)

    # -- the typed project --------------------------------------------------------------------------------------

    def project(self, tree: Map, name: str, source: discover.Source) -> Project:
        o = self.options
        tree.pop("name", None)
        about = {"name": name, "working_dir": source.folder, "compose_files": source.files, "env_files": source.given_env_files}
        project = select.with_profiles(bind(tree, self.warn, **about), source.profiles(o.profiles))
        if o.consistency:
            self.check(project)
        named = select.with_services_enabled(project, o.services)
        if named is not project and o.consistency:
            self.check(select.selected(named, o.services, o.dependencies))
        project = select.with_scale(select.selected(named, o.services, o.dependencies))
        if o.resolve_env:
            project = envfiles.with_environment(project, self.environ, discover.read_text, self.warn)
        project = envfiles.with_labels(project, discover.read_text, self.warn)
        return project if o.all_resources else select.without_unused(project)

    def check(self, project: Project) -> None:
        check.check_project(project)
        check.check_cycles(project)
