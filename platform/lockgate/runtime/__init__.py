"""Inside a service: handlers, the consumer loop, retries, dead letters, and the producer."""
