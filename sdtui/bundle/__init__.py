"""One model on disk: manifest, networks, tokenizer, scheduler settings."""
