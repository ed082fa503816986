"""The models that are kept on this machine: what there is, and how a file gets in.

a place -> quarantine -> hash and check -> the library

the library     store: places, record, lock, tree, small; verify says whether a model still is what it was
from a disk     imports: others (what is where: ollama, hugging_face, sentences, found), stage (bring, digest), recognise
from a hub      pull: reference, sources, kinds, plan, hub, hosts, network, transfer, part, hashes, progress, trouble
"""
