"""Plans: what a run would take, and whether that is there; what `--dry-run` tells."""
