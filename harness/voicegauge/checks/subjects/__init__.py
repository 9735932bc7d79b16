"""What rules look at: calls, jobs, deliveries, streams, webhooks, uploads and resources."""
