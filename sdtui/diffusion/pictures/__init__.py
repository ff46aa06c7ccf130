"""Pictures that go into a picture: opened, fitted, masked, extended."""
