def work():
    return 'modern'
