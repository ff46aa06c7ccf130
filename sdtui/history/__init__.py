"""Every picture ever made, and the request that made it."""
