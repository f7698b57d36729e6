"""Text: markup to Markdown, and what else is done to text, a column at a time."""
