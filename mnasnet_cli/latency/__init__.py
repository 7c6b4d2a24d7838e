"""How long models take: measured here or on a phone, and reported."""
