"""Packed examples as datasets to train on."""
