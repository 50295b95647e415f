"""The servers under test: one public module per `--backend` name."""
