"""What `machine.describe` returns on a machine without problems."""

from __future__ import annotations

from mnasnet_cli.system import machine

HEALTHY = {
    "versions": {"mnasnet": "1", "python": "3.11.7"} | dict.fromkeys((*machine.REQUIRED, *machine.OPTIONAL), "1.0"),
    "system": "Linux 6 x86_64",
    "cpu": {"name": "a processor", "cores": 4, "features": ["avx", "avx2"]},
    "memory_gb": {"total": 32.0, "available": 20.0},
    "disk_free_gb": 100.0,
    "environment": {},
    "nvidia_driver": False,
    "tensorflow": {"devices": [{"name": "CPU:0", "type": "CPU"}], "threads": {"intra_op": 0, "inter_op": 2}},
}
