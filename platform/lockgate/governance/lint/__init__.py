"""Lint: what a schema may well be, and should better not. What it may not be, the contracts refuse on loading."""
