"""What is written to disk: model files."""
