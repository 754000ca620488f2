"""The Docker Engine API, both ends: documents, HTTP, client."""
