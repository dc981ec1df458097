"""Measured ratios; each against a baseline that ran in the same process, on the same input."""
