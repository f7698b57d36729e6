"""Sources of documents, and what is done with documents up to their blocks."""
