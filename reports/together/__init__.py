"""`espalier explore A B ...`: one array for several networks, which run on it one at a time.

Each network is explored on its own first (`reports.explore`). Then a combination is chosen, a design of each network,
all on the lanes of one array that is just large enough for every one of them: found exactly by best-first search
(`search`) over what the designs need (`families`).
"""
