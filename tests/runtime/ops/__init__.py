"""Operations one by one, through coremltools' MIL builder, against numpy and torch."""
