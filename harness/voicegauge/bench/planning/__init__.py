"""Planning a benchmark: texts, requests, order and expected cost, before anything is sent."""
