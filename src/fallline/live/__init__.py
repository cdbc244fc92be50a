"""The live page: one descent, looked at and taken in hand while it goes."""
