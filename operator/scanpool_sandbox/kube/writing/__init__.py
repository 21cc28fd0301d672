"""How objects change: patches of four kinds, ownership of fields, and the write path itself."""
