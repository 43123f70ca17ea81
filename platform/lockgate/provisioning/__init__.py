"""Provisioning: topics, users, rights, subjects and credentials files made to be what the contracts ask for."""
