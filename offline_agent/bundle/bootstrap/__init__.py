"""What reads a bundle: also where nothing is installed yet, so it needs Python 3.11 and nothing else.

    key file -> parts -> signature -> manifest -> layout -> contents -> place

These modules, and errors.py, are packed into every bundle as `install.pyz`.
"""
