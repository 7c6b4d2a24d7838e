"""The teacher of a training: a model whose answers the student learns."""
