"""From a loaded project and what exists to a plan, and from the plan to deeds."""
