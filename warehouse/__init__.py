"""WHERE it rests and what is done to the set as a whole. Imports schemas only."""
