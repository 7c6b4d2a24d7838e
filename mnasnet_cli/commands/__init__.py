"""One small module per command: parse, call one function, print one result."""
