"""One way to run a model of any format."""
