"""What `scopeline bench` measures; `flows.bench.benchmark` runs it all."""
