"""What packing adds to a seed beside its neighbours."""
