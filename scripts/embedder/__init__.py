"""How the static embedder `pocket-static` is made: `scripts/build-embedder`, stage by stage.

One module is one stage, or one idea that a stage rests on:

    sources.py    what may be read: packages and clones, by licence, without what the evaluation is about
    cut.py        a file -> the chunks the program's own index would hold, and the words written above or in its definitions
    git.py        reading a clone
    documented.py docstrings and comments -> the code they were taken out of
    commits.py    commit messages, change notes and new tests -> the functions the commit changed, as they stood before it
    pairs.py      the two together, on disk
    tokenizer.py  pairs -> word pieces
    start.py      the first vectors, from a sentence encoder
    train.py      pairs -> vectors that put a text next to the code it is about
    export.py     vectors -> a directory that the program and sentence-transformers read
    evaluate.py   the directory on packages and clones that training never saw
"""
