"""From grey pictures to the bytes of the codes in them."""
