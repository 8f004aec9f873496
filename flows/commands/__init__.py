"""The commands of `scopeline`, one module for each topic; `flows.cli` puts them together."""
