"""Which services are meant: profiles, services named on the command line, and the resources that these use. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from compose_lite.errors import SpecError, nearest
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import Service, changed


def has_profile(service: Service, profiles: Iterable[str]) -> bool:
    """Whether the service is active: it has no profile, or one of these; `*` means all."""
    return not service.profiles or any(p == "*" or p in service.profiles for p in profiles)


def with_scale(project: Project) -> Project:
    """`scale` said beside `deploy` is its number of replicas too."""
    scaled = {
        name: changed(s, deploy=s.deploy.model_copy(update={"replicas": s.scale}))
        for name, s in project.services.items()
        if s.scale is not None and s.deploy is not None and s.deploy.replicas is None
    }
    return project.model_copy(update={"services": {**project.services, **scaled}}) if scaled else project


def with_profiles(project: Project, profiles: Iterable[str]) -> Project:
    """The project with exactly the services of these profiles active."""
    chosen = tuple(profiles)
    everybody = project.all_services()
    active = {name: s for name, s in everybody.items() if has_profile(s, chosen)}
    disabled = {name: s for name, s in everybody.items() if name not in active}
    return project.model_copy(update={"services": active, "disabled_services": disabled, "profiles": chosen})


def with_services_enabled(project: Project, names: Iterable[str]) -> Project:
    """A service named on the command line brings its profiles along."""
    asleep = [project.disabled_services[name] for name in names if name in project.disabled_services]
    added = [profile for service in asleep for profile in service.profiles]
    return with_profiles(project, (*project.profiles, *added)) if added else project


def selected(project: Project, names: Iterable[str], dependencies: bool = True) -> Project:
    """The project cut down to the named services (patterns allowed) and what they need. Raises SpecError."""
    wanted = _closure(project, names, dependencies)
    if not wanted:
        return project
    active: dict[str, Service] = {}
    disabled = dict(project.disabled_services)
    for name, service in project.services.items():
        if name not in wanted:
            disabled[name] = service
        elif all(other in wanted for other in service.depends_on):
            active[name] = service
        else:
            needs = {other: d for other, d in service.depends_on.items() if other in wanted}
            active[name] = changed(service, depends_on=needs)
    return project.model_copy(update={"services": active, "disabled_services": disabled})


def _closure(project: Project, names: Iterable[str], dependencies: bool) -> set[str]:
    found: set[str] = set()
    waiting = [(name, True) for name in names]
    while waiting:
        name, required = waiting.pop()
        hits = [name] if name in project.services else fnmatch.filter(project.services, name)
        if not hits and required:
            asleep = project.disabled_services.get(name)
            remedy = f"Enable one of its profiles ({', '.join(asleep.profiles)})." if asleep else nearest(name, project.all_services())
            raise SpecError("no-such-service", f"no such service: {name}", remedy=remedy)
        for hit in hits:
            if hit not in found:
                found.add(hit)
                if dependencies:
                    waiting.extend((other, d.required) for other, d in project.services[hit].depends_on.items())
    return found


def without_unused(project: Project) -> Project:
    """Networks, volumes, secrets, configs and models that an active service uses; the others go."""
    services = project.services.values()
    secrets = {f.source for s in services for f in (*s.secrets, *(s.build.secrets if s.build else ()))}
    used = {
        "networks": {key for s in services for key in s.networks},
        "volumes": {v.source for s in services for v in s.volumes if v.type == "volume" and v.source},
        "secrets": secrets,
        "configs": {f.source for s in services for f in s.configs},
        "models": {key for s in services for key in s.models},
    }
    kept = {section: {k: v for k, v in getattr(project, section).items() if k in keys} for section, keys in used.items()}
    return project.model_copy(update=kept)
