"""The nets alone, on the standard library, TensorFlow and TF-Slim: Python 3.7 with TF 1.15 to TF 2.21."""
