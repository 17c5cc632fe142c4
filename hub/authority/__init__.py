"""The venue's own authority: who a gate is, and how it stops being one (ADR 31)."""
