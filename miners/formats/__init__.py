"""Formats: how rows lie in files. Shared by sources; knows no source."""
