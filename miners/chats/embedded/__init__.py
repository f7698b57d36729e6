"""The embedded judge: a small model of our own that reads follow-ups without any server."""
