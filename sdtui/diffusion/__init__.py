"""Text to picture: one loop over any family, any scheduler."""
