"""Pages as pictures: where everything goes, and every pixel of it. Pure."""
