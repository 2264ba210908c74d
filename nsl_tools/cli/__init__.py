"""The `nsl-tools` command: options, signals, exit status."""
