"""Sets up and updates machines over SSH, from the operator's laptop; `release` runs on them."""
