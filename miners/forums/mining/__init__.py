"""Mining steps of the forums route: posts -> threads -> pairs -> what a view draws."""
