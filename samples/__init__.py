"""What ships to try Scopeline with: the simulated theatre and a clip."""
