"""Images from Dockerfiles.

The language
    dockerfile, phrases, request
What it means: operations and their keys
    stages, stageplan, operations, solve
Doing it
    execute, steps, host, views, context, fetch, files, writing, chmod
"""
