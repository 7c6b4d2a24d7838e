"""The Python interface: `import mnasnet_cli as mnasnet`. The commands call it, too."""
