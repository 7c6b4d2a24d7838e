"""`python -m mnasnet_cli` is `mnasnet`."""

from __future__ import annotations

from mnasnet_cli.app import main

if __name__ == "__main__":
    main()
