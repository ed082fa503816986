import argparse


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    arguments = parser.parse_args()
    text = f"hello {arguments.name}"
    print(text)


main()
