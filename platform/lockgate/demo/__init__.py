"""The demo: a world's own traffic and troubles on a real cluster, and every record accounted for at the end."""
