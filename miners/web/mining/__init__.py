"""From documents to continuations: which documents are fit, and the blocks they are cut into."""
