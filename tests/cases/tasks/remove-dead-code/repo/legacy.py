def work():
    return 'legacy'
