"""What somebody who looks after a gate can ask: doctor, status, tests of devices, a night played again."""
