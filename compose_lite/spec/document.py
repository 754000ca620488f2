"""YAML text -> values that know where they were written."""
