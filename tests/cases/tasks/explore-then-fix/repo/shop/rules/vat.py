RATE = 16


def gross(net):
    return net * (100 + RATE) // 100
