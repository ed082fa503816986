"""How the built-in model `pocket` is made: extract -> tokenizer -> data -> train -> export -> evaluate (`scripts/build-pocket`).

One module is one stage, or one idea that a stage rests on:

    extract.py    Python source on this machine -> spans (definitions, module code, prose)
    tokenizer.py  spans and phrasings -> a byte-level BPE whose pieces copy one for one
    phrases.py    the several hundred ways to ask each thing, from the files in phrasings/
    words.py      random names and near-misses, and a little English grammar
    fillings.py   what people put into a request: files, patterns, commands, steps
    languages.py  a Python definition as eight other languages write it
    chunks.py     what a search might return, disguised
    questions.py  questions about chunks, and the record that answers each
    data.py       all of these -> prompts with a known answer
    model.py      a plain Llama of 4.7 million parameters, and its training pass
    circuits.py   copying and citing, written into the first weights by hand
    train.py      the hour of training
    export.py     weights -> GGUF
    fidelity.py   the GGUF under llama.cpp beside the weights under torch
"""
