"""From a loaded project and what exists to a plan, and from the plan to deeds.

What is wanted, as the engine is asked for it
    containerspec, confighash, builds, images, transfers, digests, providers, languagemodels, initsteps, injecting,
    apisocket
What exists
    observe, sight, recorded, ownership
What is to be done
    reconcile, plan, planview, difference
Doing it
    converge, rolling, stopping, waiting, report
Answers for people
    why, explain, timing, configtext, publication, watch
"""
