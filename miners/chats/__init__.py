"""Chats: sources of conversations between people and models, and what is mined from them."""
