"""The mining steps of the chats route: conversations, turns, questions, verdicts, labels, feedback."""
