"""Contracts: `domain.yaml`, `service.yaml` and `.avsc` files as one frozen value, and what follows from it."""
