"""Complaints about Compose files that are no errors: a table of pure rules (rules.py), reports and fixes."""
