"""Plans the requests of a check: valid and invalid values, pairs of parameters, webhooks and resources."""
