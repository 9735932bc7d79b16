"""Functions that do what the commands do, from planning to saving. They return records and print nothing."""
