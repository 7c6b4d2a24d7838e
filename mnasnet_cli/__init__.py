"""Train, evaluate and ship MnasNet classifiers and detectors from the command line."""

__version__ = "0.1.0"
