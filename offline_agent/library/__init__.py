"""The models that are kept on this machine: what there is, and how a file gets in.

a place -> quarantine -> hash and check -> the library

what there is   store, and record and lock beneath it
from a disk     imports: recognise, others (what other tools have), digest (copying and hashing)
later           verify
"""
