"""The command line: global options, one file a command, error to exit status.

From the words to a command
    main, commandtable, pflag, program, commands, completing, manual, context, worker
What several commands do
    upping, upoptions, foreground, menu, lifecycle, watching, attaching, copying, nouns, imagebuild,
    containeroptions, dryrun, remotes, unitfile, timed
What stands on the terminal
    progress, buildblock, buildview, logview, streams, tables, gotemplate, containerrow
"""
