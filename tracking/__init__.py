"""SAM-2 memory tracking: masks carried through time."""
