"""Options that `up`, `create` and `plan` share: what is wished for, in one place."""

from __future__ import annotations

from compose_lite.cli.pflag import flag, option, options

WISHES = (
    flag("--build", help="Build images before starting containers"),
    flag("--force-recreate", help="Recreate containers even if their configuration and image haven't changed"),
    flag("--no-recreate", help="If containers already exist, don't recreate them"),
    option("--pull", default="policy", help='Pull image before running ("always"|"missing"|"never"|"build")'),
    flag("--remove-orphans", help="Remove containers for services not defined in the Compose file"),
    options("--scale", help="Scale SERVICE to NUM instances"),
)
"""Of all three."""
MAKING = (
    flag("--no-build", help="Don't build an image, even if it's policy"),
    flag("--quiet-pull", help="Pull without printing progress information"),
    flag("-y", "--yes", help='Assume "yes" as answer to all prompts'),
)
"""Of the two that make something."""
DEEPER = (
    flag("--always-recreate-deps", help="Recreate dependent containers"),
    flag("--no-deps", help="Don't start linked services"),
    flag("-V", "--renew-anon-volumes", help="Recreate anonymous volumes instead of retrieving data from the previous containers"),
)
"""Of `up`, and of `plan` that shows what it would do."""
