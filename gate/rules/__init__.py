"""The rules of the door as values and functions: no clock, no files, no network (docs/rules.md). Pure."""
