from old_name import answer

print(answer())
