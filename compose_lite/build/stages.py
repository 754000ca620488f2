"""What the stages of a Dockerfile mean once the base images' configurations are known. Pure.

`Planner.plan` turns one stage into operations on files, the image's configuration and its history: scopes of ARG,
environment, expansion of words, ONBUILD, what resets what. Nothing is read or run here; errors carry their place.
Reference: https://docs.docker.com/reference/dockerfile/ and what BuildKit makes of it.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from compose_lite import reference
from compose_lite.build import operations as ops
from compose_lite.build import phrases
from compose_lite.build.dockerfile import instructions as ins
from compose_lite.build.dockerfile import lines, parse, words
from compose_lite.build.dockerfile.instructions import Instruction, Stage
from compose_lite.build.dockerfile.lines import Line
from compose_lite.build.operations import CONTEXT, SCRATCH, Operation, Source
from compose_lite.build.phrases import after_keyword, hint, is_remote, join, pair, parse_ports, quoted, shown_base
from compose_lite.build.stageplan import Base, Entry, StagePlan, Wishes
from compose_lite.errors import BuildError, ImageError, nearest
from compose_lite.image.manifest import ARCHITECTURES, DEFAULT_PATH, parse_platform
from compose_lite.linux import signals
from compose_lite.units import format_duration

Document = dict[str, Any]
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_SHELL = ("/bin/sh", "-c")


class Planner:
    """One Dockerfile and what is wished of it."""

    def __init__(self, dockerfile: parse.Dockerfile, wishes: Wishes) -> None:
        self.file, self.wishes = dockerfile, wishes
        self._names = {stage.name: stage.index for stage in dockerfile.stages if stage.name}
        self.target = self._find_target()
        self.globals, self._defaults = self._evaluate_globals()

    def _find_target(self) -> int:
        wanted, stages = self.wishes.target.lower(), self.file.stages
        if not wanted:
            return len(stages) - 1
        hits = [stage.index for stage in stages if stage.name == wanted]
        if hits:
            return hits[-1]
        hint = nearest(wanted, [stage.name for stage in stages if stage.name])
        raise BuildError("build-target", f'target stage "{self.wishes.target}" could not be found', remedy=hint)

    def _evaluate_globals(self) -> tuple[dict[str, str], dict[str, str]]:
        """The ARGs in front of the first FROM, with the given values and with their defaults alone."""
        host, wanted = self.wishes.build_platform, self.wishes.platform
        found: dict[str, str] = {}
        for name, platform in (("BUILD", host), ("TARGET", wanted)):
            found |= {f"{name}PLATFORM": str(platform), f"{name}OS": platform.os, f"{name}ARCH": platform.architecture}
            found |= {f"{name}VARIANT": platform.variant, f"{name}OSVERSION": ""}
        found["TARGETSTAGE"] = self.file.stages[self.target].name or "default"
        found |= {name: value for name, value in self.wishes.args.items() if name in found}
        defaults = dict(found)
        for arg in self.file.globals:
            for name, default in arg.items:
                try:
                    if default is not None:
                        defaults[name] = words.expand(default, defaults, self._rules).text
                        found[name] = words.expand(default, found, self._rules).text
                except BuildError as error:
                    raise self.file.error(error, arg.line) from None
                if name in self.wishes.args:
                    found[name] = self.wishes.args[name]
        return found, defaults

    @property
    def _rules(self) -> words.Rules:
        return words.Rules(escape=self.file.escape)

    # Where a stage begins

    def source(self, index: int) -> Source:
        """What stands behind the stage's FROM."""
        stage = self.file.stages[index]
        start = stage.start
        try:
            expanded = words.expand(start.base, self.globals, self._rules)
            wish = words.expand(start.platform, self.globals, self._rules)
        except BuildError as error:
            raise self.file.error(error, start.line) from None
        platform = wish.text
        self._check_from(stage, expanded, wish)
        name = expanded.text
        if not name:
            raise self.file.error(BuildError("dockerfile", f"base name ({start.base}) should not be blank"), start.line)
        if platform:
            self._check_platform(platform, start.line)
        named = self._named_context(stage.name) if stage.name else None
        if named is None:
            named = self._named_context(name)
        if named is not None:
            return Source("named", named, platform=platform)
        earlier = [one.index for one in self.file.stages[:index] if one.name and one.name == name.lower()]
        if earlier:
            return Source("stage", name, earlier[-1])
        if name == "scratch":
            return SCRATCH
        return Source("image", name, platform=platform)

    def _check_platform(self, text: str, line: Line) -> None:
        try:
            known = parse_platform(text).architecture in ARCHITECTURES
        except ImageError:
            known = False
        if not known:
            says = f'failed to parse platform {text}: "{text}": unknown operating system or architecture: invalid argument'
            raise self.file.error(BuildError("dockerfile", says), line)

    def _check_from(self, stage: Stage, expanded: words.Expansion, platform: words.Expansion) -> None:
        span = stage.start.line.span
        declared = {name for arg in self.file.globals for name, _ in arg.items}
        for name in sorted((expanded.unset | platform.unset) - declared):
            self.file.warn("UndefinedArgInFrom", f"FROM argument '{name}' is not declared{hint(name, self.globals)}", span)
        if platform.used == {"TARGETPLATFORM"} and not platform.unset and platform.text == self.globals["TARGETPLATFORM"]:
            says = f"Setting platform to predefined {stage.start.platform} in FROM is redundant as this is the default behavior"
            self.file.warn("RedundantTargetPlatform", says, span)
        if "$" not in stage.start.base:
            return
        try:
            reference.parse(words.expand(stage.start.base, self._defaults, self._rules).text)
            return
        except (BuildError, ImageError):
            pass
        says = f"Default value for ARG {stage.start.base} results in empty or invalid base image name"
        self.file.warn("InvalidDefaultArgInFrom", says, span)

    def _named_context(self, name: str) -> str | None:
        """The additional context of that name; names of images count whether or not written out in full."""
        if name in self.wishes.contexts:
            return name
        try:
            full = reference.parse(name).with_default_tag()
        except ImageError:
            return None
        for known in self.wishes.contexts:
            try:
                if (":" in known or "/" in known) and reference.parse(known).with_default_tag() == full:
                    return known
            except ImageError:
                continue
        return None

    def other(self, name: str, stage: Stage, line: Line) -> Source:
        """What a `--from` or `from=` names: an additional context, an earlier stage, an image."""
        if "$" in name:
            says = (
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
            )
            raise self.file.error(BuildError("dockerfile", says), line)
        named = self._named_context(name)
        if named is not None:
            return Source("named", named)
        if name.isdigit():
            if int(name) == stage.index:
                raise self.file.error(BuildError("dockerfile", f"circular dependency detected on stage: {stage.shown}"), line)
            if int(name) > stage.index:
                raise self.file.error(BuildError("dockerfile", f"invalid from flag value {name}: invalid stage index {name}"), line)
            return Source("stage", name, int(name))
        if name.lower() == stage.name:
            raise self.file.error(BuildError("dockerfile", f"circular dependency detected on stage: {stage.name}"), line)
        index = [one.index for one in self.file.stages[: stage.index] if one.name == name.lower()]
        if index:
            return Source("stage", name, index[-1])
        if name.lower() in self._names:
            says = f'cannot copy from stage "{name}", it needs to be defined before current stage "{stage.shown}"'
            raise self.file.error(BuildError("dockerfile", says), line)
        if name == "scratch":
            return SCRATCH
        return Source("image", name)

    # A stage

    def plan(self, index: int, source: Source, base: Base) -> StagePlan:
        """The stage's operations and what its image says."""
        stage = self.file.stages[index]
        work = _Work(self, stage, source, base)
        triggers = work.config.pop("OnBuild", None) or ()
        work.config["OnBuild"] = []
        before = [parse.onbuild(trigger, self.file, stage.start.line.span) for trigger in triggers]
        for number, instruction in enumerate([*before, *stage.instructions]):
            try:
                work.take(instruction, triggered=number < len(before))
            except BuildError as error:
                raise self.file.error(error, instruction.line) from None
        return work.finish()

    def labels(self) -> Mapping[str, str]:
        return self.wishes.labels


class _Work:
    """A stage while it is evaluated."""

    def __init__(self, planner: Planner, stage: Stage, source: Source, base: Base) -> None:
        self.planner, self.stage, self.file = planner, stage, planner.file
        self.image = copy.deepcopy(base.image)
        self.config: Document = self.image["config"]
        if not any(entry.startswith("PATH=") for entry in self.config.get("Env") or ()):
            self.config["Env"] = [*(self.config.get("Env") or ()), DEFAULT_PATH]
        self.env = dict(base.env) if base.env is not None else dict(pair(entry) for entry in self.config["Env"])
        self.args = list(base.args)
        self.found = StagePlan(stage.index, stage.shown, source, self.image, list(base.history), self.env, self.args)
        if source.kind == "stage":
            self.found.needs.add(source.index)
        self.cmd_set = self.shell_set = False
        self.workdir_set = bool(self.config.get("WorkingDir"))

    def finish(self) -> StagePlan:
        plan, several = self.found, len(self.file.stages) > 1
        for key in [key for key, value in self.config.items() if value in ([], {}, "") and key not in ("Cmd", "Entrypoint")]:
            del self.config[key]
        prefix = " ".join(part for part in (self.planner.wishes.prefix, plan.name if several else "") if part)
        lead = f"{prefix} " if prefix else ""
        shift = 1 if plan.source.kind in ("image", "named") else 0
        total = len(plan.operations) + shift
        if shift:
            plan.base_title = f"[{lead}1/{total}] FROM {shown_base(plan.source)}"
        for at, operation in enumerate(plan.operations, 1 + shift):
            plan.titles[operation.number] = f"[{lead}{at}/{total}] {operation.title}"
        return plan

    # Words

    def word(self, text: str, env: Mapping[str, str] | None = None, *, line: Line) -> str:
        try:
            found = words.expand(text, self.env if env is None else env, self.planner._rules)
        except BuildError as error:
            raise BuildError(error.code, f"failed to process {quoted(text)}: {error.says}") from error
        self._note_unset(found.unset, self.env if env is None else env, line)
        return found.text

    def _note_unset(self, unset: Iterable[str], env: Mapping[str, str], line: Line) -> None:
        for name in sorted(set(unset) - {name for name, _ in self.args}):
            self.file.warn("UndefinedVar", f"Usage of undefined variable '${name}'{hint(name, env, '$')}", line.span)

    def _title(self, line: Line, triggered: bool) -> str:
        """The instruction as it stands there, set variables replaced."""
        text = f"{line.keyword.upper()} {after_keyword(line.original)}".rstrip()
        rules = words.Rules(self.file.escape, raw_quotes=True, raw_escapes=True, keep_unset=True)
        try:
            text = words.expand(text, self.env, rules).text
        except BuildError:
            pass
        if line.heredocs:
            first = line.heredocs[0].text.strip().split("\n")[0]
            text += f" ({first}...)" if first else ""
        return f"ONBUILD {text}" if triggered else text

    def _number(self) -> ops.Number:
        return (self.stage.index, len(self.found.operations))

    def _note(self, text: str, operation: ops.Number | None = None) -> None:
        self.found.history.append(Entry(text, operation))

    def _add(self, operation: Operation, created_by: str) -> None:
        self.found.operations.append(operation)
        self._note(created_by, operation.number)

    # Instructions

    def take(self, one: Instruction, *, triggered: bool = False) -> None:
        if isinstance(one, ins.Run):
            self._run(one, triggered)
        elif isinstance(one, ins.Copy):
            self._copy(one, triggered)
        elif isinstance(one, ins.Env):
            self._env(one)
        elif isinstance(one, ins.Arg):
            self._arg(one)
        elif isinstance(one, ins.Label):
            self._label(one)
        elif isinstance(one, ins.Command):
            self._command(one)
        elif isinstance(one, ins.Word):
            _WORDS[one.line.name](self, one, triggered)
        elif isinstance(one, ins.Expose):
            self._expose(one)
        elif isinstance(one, ins.Volume):
            paths = [self.word(path, line=one.line) for path in one.paths]
            if "" in paths:
                raise BuildError("dockerfile", "VOLUME specified can not be an empty string")
            self.config["Volumes"] = {**(self.config.get("Volumes") or {}), **{path: {} for path in paths}}
            self._note(f"VOLUME [{' '.join(paths)}]")
        elif isinstance(one, ins.Healthcheck):
            self._healthcheck(one)
        elif isinstance(one, ins.Shell):
            self.config["Shell"], self.shell_set = list(one.args), True
            self._note(f"SHELL [{' '.join(one.args)}]")
        elif isinstance(one, ins.Onbuild):
            self.config["OnBuild"] = [*(self.config.get("OnBuild") or ()), one.text]

    def _run(self, one: ins.Run, triggered: bool) -> None:
        mounts = tuple(self._mount(mount, one.line) for mount in one.mounts)
        network = one.network if one.network != "default" else self.planner.wishes.network
        for wanted, right in ((one.network == "host", "network.host"), (one.security == "insecure", "security.insecure")):
            if wanted and right not in self.planner.wishes.entitlements:
                says = f"granting entitlement {right} is not allowed by build daemon configuration: {right} is not allowed"
                raise BuildError("build-entitlement", says, remedy=f"Add `entitlements: [{right}]` to the build section.")
        argv, script = self._argv(one)
        proxies = tuple(
            f"{name}={value}"
            for proxy in PROXIES
            if (value := self.planner.wishes.args.get(proxy, self.planner.wishes.args.get(proxy.lower()))) is not None
            for name in (proxy, proxy.lower())
            if name not in self.env
        )
        made = ops.Run(
            self._number(), one.line.span, self._title(one.line, triggered), argv, tuple(f"{k}={v}" for k, v in self.env.items()),
            str(self.config.get("User") or ""), str(self.config.get("WorkingDir") or "/"), mounts, network, one.security == "insecure",
            proxies, script,
        )  # fmt: skip
        given = [f"{k}={self.env.get(k, v or '')}" for k, v in self.args]
        shown = f"|{len(given)} {' '.join(given)} " if given else ""
        self._add(made, f"RUN {shown}{' '.join(argv)} # buildkit")

    def _argv(self, one: ins.Run) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        if one.exec:
            return one.args, None
        text, script = one.args[0], None
        documents = one.line.heredocs
        if documents:
            alone = lines.heredoc(text.strip())
            if alone and documents[0].content.startswith("#!"):
                script = (documents[0].name, documents[0].text)
                text = f"/dev/pipes/{documents[0].name}"
            elif alone:
                text = documents[0].text
            else:
                text += "".join(f"\n{document.content}{document.name}" for document in documents)
        return (*(self.config.get("Shell") or _SHELL), text), script

    def _mount(self, mount: ins.Mount, line: Line) -> ops.Mount:
        target = self.word(mount.target, line=line)
        source: Source | None = None
        if mount.kind == "bind" or (mount.kind == "cache" and mount.from_):
            if "$" in mount.from_:
                raise BuildError("dockerfile", "variable expansion is not supported for from, define a new stage with FROM using ARG "
                                 "from global scope as a workaround")  # fmt: skip
            source = self.planner.other(mount.from_, self.stage, line) if mount.from_ else CONTEXT
            if source.kind == "stage":
                self.found.needs.add(source.index)
        if target or mount.kind in ("bind", "cache", "tmpfs"):
            target = join(str(self.config.get("WorkingDir") or "/"), target).rstrip("/") or "/"
            if posixpath.normpath(target) == "/" and mount.kind in ("bind", "cache", "tmpfs"):
                raise BuildError("dockerfile", 'invalid mount target "/"')
        id_ = self.word(mount.id, line=line)
        path = self.word(mount.source, line=line)
        if mount.kind == "secret":
            id_ = id_ or path or posixpath.basename(target)
            if not target and mount.env is None:
                target = f"/run/secrets/{id_}"
        readonly = mount.readonly if mount.readonly is not None else mount.kind == "bind"
        return ops.Mount(
            mount.kind, target, source, posixpath.normpath("/" + path), bool(readonly), id_ or (target if mount.kind == "cache" else ""),
            mount.sharing or "shared", mount.size, mount.mode, mount.uid or 0, mount.gid or 0, mount.required, mount.env,
        )  # fmt: skip

    def _copy(self, one: ins.Copy, triggered: bool) -> None:
        line = one.line
        source = self.planner.other(one.from_, self.stage, line) if one.from_ else CONTEXT
        if source.kind == "stage":
            self.found.needs.add(source.index)
        sources = tuple(self.word(text, line=line) for text in one.sources)
        target = phrases.target(self.word(one.target, line=line), str(self.config.get("WorkingDir") or "/"))
        checksum = self.word(one.checksum, line=line)
        remote = [text for text in sources if one.add and is_remote(text)]
        if checksum and (len(sources) != 1 or not remote):
            says = "checksum can't be specified for multiple sources" if len(sources) != 1 else "checksum requires HTTP(S) or Git sources"
            raise BuildError("dockerfile", says)
        documents = tuple((document.name, self._document(document, line)) for document in one.heredocs)
        made = ops.Copy(
            self._number(), line.span, self._title(line, triggered), source, sources, target, documents, one.add,
            self.word(one.chown, line=line), self.word(one.chmod, line=line), one.parents,
            tuple(self.word(text, line=line) for text in one.exclude), checksum, bool(one.keep_git), one.unpack,
        )  # fmt: skip
        flags = [
            *(["--parents"] if one.parents else []),
            *([f"--chown={made.chown}"] if made.chown else []),
            *([f"--chmod={made.chmod}"] if made.chmod else []),
        ]
        names = [*sources, *(f"<<{name}" for name, _ in documents)]
        self._add(made, " ".join([line.name.upper(), *flags, *names, self.word(one.target, line=line), "# buildkit"]))

    def _document(self, document: lines.Heredoc, line: Line) -> str:
        if not document.expand:
            return document.text
        found = words.expand(document.text, self.env, words.Rules(self.file.escape, plain_quotes=True))
        self._note_unset(found.unset, self.env, line)
        return found.text

    def _env(self, one: ins.Env) -> None:
        before = dict(self.env)
        image = dict(pair(entry) for entry in self.config["Env"])
        shown = []
        for name, value in one.pairs:
            name, value = self.word(name, before, line=one.line), self.word(value, before, line=one.line)
            self.env[name] = image[name] = value
            shown.append(f"{name}={value}")
        self.config["Env"] = [f"{name}={value}" for name, value in image.items()]
        self._note(f"ENV {' '.join(shown)}")

    def _arg(self, one: ins.Arg) -> None:
        shown = []
        for name, default in one.items:
            value = self.word(default, line=one.line) if default is not None else None
            if name in self.planner.wishes.args:
                value = self.planner.wishes.args[name]
            elif value is None:
                value = self.planner.globals.get(name)
            if value is not None:
                self.env[name] = value
            self.args[:] = [(known, old) for known, old in self.args if known != name]
            self.args.append((name, value))
            shown.append(name if value is None else f"{name}={value}")
        self._note(f"ARG {' '.join(shown)}")

    def _label(self, one: ins.Label) -> None:
        shown = []
        labels = dict(self.config.get("Labels") or {})
        for name, value, cooked in one.pairs:
            name, value = (self.word(name, line=one.line) if cooked else name), self.word(value, line=one.line)
            labels[name] = value
            shown.append(f"{name}={value}")
        self.config["Labels"] = labels
        self._note(f"LABEL {' '.join(shown)}")

    def _command(self, one: ins.Command) -> None:
        args = list(one.args) if one.exec else [*(self.config.get("Shell") or _SHELL), "".join(one.args)]
        self.config["Entrypoint" if one.entrypoint else "Cmd"] = args
        if one.entrypoint:
            if not self.cmd_set:
                self.config.pop("Cmd", None)
        else:
            self.cmd_set = True
            self.config["ArgsEscaped"] = True
        self._note(f"{one.line.name.upper()} [{' '.join(quoted(arg) for arg in args)}]")

    def _user(self, one: ins.Word, triggered: bool) -> None:
        self.config["User"] = self.word(one.text, line=one.line)
        self._note(f"USER {self.config['User']}")

    def _workdir(self, one: ins.Word, triggered: bool) -> None:
        wish = self.word(one.text, line=one.line)
        if not wish.startswith("/") and not self.workdir_set:
            says = f"Relative workdir {quoted(wish)} can have unexpected results if the base image changes"
            self.file.warn("WorkdirRelativePath", says, one.line.span)
        self.workdir_set = self.workdir_set or wish.startswith("/")
        before = str(self.config.get("WorkingDir") or "/")
        path = wish if wish.startswith("/") else posixpath.normpath(join(before, wish))  # an absolute one stays as written
        self.config["WorkingDir"] = path
        if path.rstrip("/") == "":
            self._note(f"WORKDIR {path}")
            return
        title = self._title(one.line, triggered)
        self._add(ops.MakeFolder(self._number(), one.line.span, title, path, str(self.config.get("User") or "")), f"WORKDIR {path}")

    def _stopsignal(self, one: ins.Word, triggered: bool) -> None:
        wish = self.word(one.text, line=one.line)
        if not signals.number(wish):
            raise BuildError("dockerfile", f"invalid signal: {wish}")
        self.config["StopSignal"] = wish
        self._note(f"STOPSIGNAL {wish}")

    def _maintainer(self, one: ins.Word, triggered: bool) -> None:
        self.image["author"] = one.text
        self._note(f"MAINTAINER {one.text}")

    def _expose(self, one: ins.Expose) -> None:
        ports = dict(self.config.get("ExposedPorts") or {})
        shown = []
        for text in sorted(one.ports):
            for word in words.expand(text, self.env, self.planner._rules).words:
                made = parse_ports(word)
                shown += made
                ports |= {port: {} for port in made}
        self.config["ExposedPorts"] = ports
        self._note(f"EXPOSE [{' '.join(dict.fromkeys(shown))}]")

    def _healthcheck(self, one: ins.Healthcheck) -> None:
        check: Document = {"Test": list(one.test)}
        values = {"Interval": one.interval, "Timeout": one.timeout, "StartPeriod": one.start_period, "StartInterval": one.start_interval}
        check |= {key: value for key, value in {**values, "Retries": one.retries}.items() if value}
        self.config["Healthcheck"] = check
        test = " ".join(quoted(word) for word in one.test)
        times = " ".join(f'"{format_duration(value)}"' for value in values.values())
        self._note(f"HEALTHCHECK &{{[{test}] {times} '\\x{one.retries:02x}'}}")


_WORDS = {"user": _Work._user, "workdir": _Work._workdir, "stopsignal": _Work._stopsignal, "maintainer": _Work._maintainer}
