"""MnasNet for TF-Slim, on TensorFlow 1.15 (Python 3.7) and on TensorFlow 2.

This folder needs the standard library, tensorflow and tf_slim, nothing else of the project. Its imports are relative,
so a copy works in any other package and under any name, for example as ``slim/nets/mnasnet_nets``.
"""
