"""The arena: every optimizer, and the libraries a user would take instead, on equal terms.

python -m bench.arena                      run what is missing, then write studies/optimizers/README.md
python -m bench.arena --phase evaluations  runs of equal evaluations (any load: `nice` it and go on working)
python -m bench.arena --phase seconds      runs of equal time, one at a time (needs a quiet machine)
python -m bench.arena --report             only write the page from what has finished

Results are lines of out/arena/results.jsonl. A run that is cut short goes on later; what an optimizer did before its
code changed, or on an instance that has other prices now, is run again.
"""
