"""The resident working process and how to talk to it."""
