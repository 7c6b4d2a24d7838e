"""Checks image files and turns them into what a record stores."""
