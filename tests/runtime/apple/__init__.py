"""How we use the Core ML framework, told by the conversation with an imitation of it."""
