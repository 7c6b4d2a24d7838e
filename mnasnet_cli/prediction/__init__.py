"""What is on the user's pictures: reading them, asking a model, drawing its answers."""
