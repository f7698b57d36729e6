"""Forums: threads of voted replies. One file a source, plus the mining steps of the route."""
