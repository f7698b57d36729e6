"""Stage functions: each reads its inputs, calls one pure function of miners or warehouse, and yields outcomes."""
