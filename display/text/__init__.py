"""What the screens say, in English and Spanish. Pure."""
