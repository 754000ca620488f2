"""The engine: lifecycle, health, restarts, logs, events, state, and its API server.

The process and its API
    main, server, routes, calls, documents, events, filters, store, recover
A container's life
    containers, runs, live, lifecycle, restart, health, signals, halting, callers, record, names
What it is started with
    creation, limits, defaults, preparation, births, ahead, initlayer, ociconfig, users, devices, cdi, runtimes
What is asked of it while it runs
    execs, logs, followed, usage, updating, archive, differences, commits
Networks and volumes
    networks, addressing, bridges, endpoints, links, seats, hostway, volumes, copyup, trash
Images and builds
    images, builds, buildworker, buildchannel
"""
