"""A model as a small HTTP service: `fallline serve`."""
