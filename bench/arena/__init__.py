"""The arena: every optimizer, and the libraries a user would take instead, on equal terms.

python -m bench.arena            run what is missing, then write studies/optimizers/README.md
python -m bench.arena --minutes 20 --jobs 2
python -m bench.arena --report   only write the page from what has finished
"""
