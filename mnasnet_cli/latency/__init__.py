"""How long models take, here and on phones."""
