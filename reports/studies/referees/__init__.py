"""Our closed forms held against other people's simulators: SCALE-Sim's cycles and accesses, ZigZag's ideal cycles."""
