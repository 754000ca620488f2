"""Containers: a zygote that forks monitors, a monitor that is parent of init, and init up to execve."""
