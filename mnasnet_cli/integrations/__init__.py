"""Registers the nets in TF-Slim's ``nets_factory`` and in the TF Object Detection API, under TensorFlow 1.15.

Runs on Python 3.7 and needs only ``mnasnet_cli.nets`` of this project.
"""
