"""As a program: `mnasnet ARGS…` that also knows the net "tiny", and writes the variables of every replica.

    python traced_training.py OUT.npz REPLICAS ARGS…

REPLICAS above 1 splits the CPU into as many logical devices. In OUT.npz, `<i>/<name>` is variable <name> on replica
<i> of the process at the end.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any


def trace(out: str, replicas: int) -> None:
    """Patches the training so that it writes OUT.npz."""
    import numpy as np
    import tensorflow as tf

    from mnasnet_cli.training import loop, run

    if replicas > 1:
        cpus = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * replicas)
        run.make_strategy = lambda: tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    train = loop.Trainer.train

    def traced_train(trainer: loop.Trainer) -> dict[str, Any]:
        results = train(trainer)
        found = {
            f"{index}/{name}": local.numpy()
            for name, variable in trainer.steps.variables.items()
            for index, local in enumerate(trainer.strategy.experimental_local_results(variable))
        }
        np.savez(out, **found)
        return results

    loop.Trainer.train = traced_train  # type: ignore[method-assign]


if __name__ == "__main__":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # to end with the test, however that ends

    from tiny_net import TINY

    from mnasnet_cli.app import main
    from mnasnet_cli.nets.spec import NETS
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    NETS["tiny"] = TINY
    trace(sys.argv[1], int(sys.argv[2]))
    sys.argv[1:] = sys.argv[3:]
    main()
