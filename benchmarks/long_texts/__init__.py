"""Long texts with planted defects: how many are found and located, and how many clean ones are accused."""
