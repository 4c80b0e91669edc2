"""Files in and out: data sets, networks, the zoo."""
