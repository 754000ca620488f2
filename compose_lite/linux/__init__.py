"""One file a kernel facility; stdlib only, raises only OSError, knows no container."""
