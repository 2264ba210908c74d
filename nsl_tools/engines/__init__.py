"""Engines: what runs the tasks of a job, on this machine or on many."""
