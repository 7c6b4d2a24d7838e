"""Writes a checkpoint in the formats of other programs, and checks each against the checkpoint."""
