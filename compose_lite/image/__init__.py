"""Images: references, manifests, the store, registries, layers, archives."""
