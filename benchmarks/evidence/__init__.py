"""What the service promises, tried at length: crashes, retries, replays, deliveries, and its OpenAPI document."""
