"""The rules of `miners.text.markdown`, compiled, for the bodies that need no mending."""
