"""`espalier compare`: explorations side by side, from what each of them saved; nothing is measured again."""
