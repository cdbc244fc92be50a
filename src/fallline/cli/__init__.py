"""The command line, one file a command: parsing first and importing later, so that help costs no waiting."""
