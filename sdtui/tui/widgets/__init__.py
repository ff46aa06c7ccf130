"""The parts of the screen. Each shows what it is given and says what the person does with it."""
