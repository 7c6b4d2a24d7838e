"""The nets inside other programs: TF-Slim's ``nets_factory`` and the TF Object Detection API, under TensorFlow 1.15.

Runs on Python 3.7 with nothing of this project but ``mnasnet_cli.nets`` beside it.
"""
