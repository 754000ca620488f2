"""The service dependency graph: order, levels, cycles, affected sets."""
