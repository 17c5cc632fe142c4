"""What the door needs of hardware and screen: protocols and values. Pure."""
