"""`espalier explore`: a budget in, the recommended design out, and everything that it was chosen from.

Two levels. A *trial* is expensive: the error rate of one version of a network at one pair of word lengths, measured by
the bit-accurate engine and kept (`trials`, `workers`, `store`). A *point* is cheap: a trial on an array, costed by
closed forms (`points`).
"""
