"""What the containers that a plan replaces were made from: read from the engine, for planview.py to compare. Decides nothing."""

from __future__ import annotations

from pathlib import Path

from compose_lite.api.protocol import DockerEngine
from compose_lite.errors import ApiError
from compose_lite.project.confighash import configuration
from compose_lite.project.containerspec import Instance, create_body
from compose_lite.project.difference import comparable, shown_by
from compose_lite.project.languagemodels import variable_names, with_models
from compose_lite.project.observe import Document, Snapshot
from compose_lite.project.plan import CreateContainer, Plan
from compose_lite.project.planview import Known
from compose_lite.project.reconcile import sharing_of
from compose_lite.spec.models.project import Project
from compose_lite.spec.models.service import changed


async def known_configurations(engine: DockerEngine, project: Project, snapshot: Snapshot, plan: Plan) -> dict[str, Known]:
    """By container id, for those whose configuration changed."""
    found = {}
    for step in plan.creations():
        if step.because == "configuration changed":
            found[step.replaces] = await _known(engine, project, snapshot, step)
    return found


async def _known(engine: DockerEngine, project: Project, snapshot: Snapshot, step: CreateContainer) -> Known:
    service, sharing = project.services[step.service], sharing_of(snapshot)
    kept = await _kept(engine, step.replaces)
    if kept:
        return Known(kept, configuration(service, sharing))
    read = lambda path: (Path(project.working_dir) / path).read_text()  # noqa: E731
    wanted = Instance(project, service, step.number, step.name, containers=sharing, read=read)
    document = await engine.container(step.replaces)
    try:
        image = await engine.image(document.get("Image") or "")
    except ApiError:
        image = {}
    after = comparable(wanted)
    return Known(shown_by(document, image, create_body(wanted)), after, partly=True)


async def _kept(engine: DockerEngine, id: str) -> Document | None:
    """By our engine; None where another one made it, or an older one of ours."""
    try:
        found: Document | None = (await engine.extension("GET", f"containers/{id}/configuration")).get("Configuration")
        return found
    except ApiError as error:
        if error.code != "engine-foreign":
            raise
        return None


async def with_recorded_variables(engine: DockerEngine, project: Project, snapshot: Snapshot) -> Project:
    """The project as if every provider had set what it set last time: a plan runs none, and what they set counts."""
    project = with_models(project, "")
    made = {}
    for name, service in project.services.items():
        prefixes = tuple(f"{o.upper()}_" for o in service.depends_on if o in project.services and project.services[o].provider is not None)
        containers = snapshot.of(name)
        names = {variable_names(key, wish)[1] for key, wish in service.models.items()}
        if (prefixes or names) and containers:
            environment = (await engine.container(containers[0].id))["Config"].get("Env") or ()
            before = dict(e.split("=", 1) for e in environment if "=" in e)
            names |= {key for key in before if prefixes and key.startswith(prefixes) and key not in service.environment}
            provided = {key: value for key, value in before.items() if key in names}
            made[name] = changed(service, environment={**service.environment, **provided})
    return project.model_copy(update={"services": {**project.services, **made}}) if made else project
