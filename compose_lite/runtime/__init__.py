"""Containers: a zygote that forks monitors, a monitor that is parent of init, and init up to execve.

Processes, and what they say to each other
    zygote, mould, monitor, midwife, waiting, messages, jsonlog
A start, from the parent's half to execve
    container, init, child, rootfs, splitroot, hooks
In user namespaces
    nest, nested
One more process, or another runtime
    execin, foreign
The engine's side
    client, lines, config, answers, attachment, removing
"""
