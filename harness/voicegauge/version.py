"""The version of this package, which records and user agents name."""

__version__ = "0.1.0"
