"""The arena: every optimizer, and the libraries a user would take instead, on equal terms.

python -m bench.arena                      run what is missing, then write studies/optimizers/README.md
python -m bench.arena --phase evaluations  runs of equal evaluations (any load: `nice` it and go on working)
python -m bench.arena --phase seconds      runs of equal time, each pinned to a core of its own (needs a quiet machine)
python -m bench.arena --optimizers peers   only what does not change with our code
python -m bench.arena --report             only write the page from what has finished

Results are lines of out/arena/results.jsonl. A run that is cut short goes on later; what an optimizer did before its
code changed, or on an instance that has other prices now, is run again. Whole: about an hour of two quiet cores for
equal evaluations, seed by seed, and twelve minutes for equal time; `--minutes` and `--clock-minutes` end them earlier.
"""
