"""Builds and trains our nets through TF-Slim's real ``nets_factory``, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_nets_factory.py

Makes what it needs on first use (``tf1_environment``) and runs ``nets_factory_probe.py`` there. Without Python 3.7 it
says so and ends with 0.
"""

from __future__ import annotations

import sys

from tf1_environment import tf1_or_exit

if __name__ == "__main__":
    sys.exit(tf1_or_exit().run("nets_factory_probe.py"))
