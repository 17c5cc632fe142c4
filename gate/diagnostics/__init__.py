"""For whoever looks after a gate: doctor, status, tests of devices, a recorded night decided again."""
