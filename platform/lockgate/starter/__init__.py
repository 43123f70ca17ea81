"""A small world of one's own, for `lockgate init`."""
