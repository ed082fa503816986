from table import rows

assert rows("a,b\nc,d\n") == [["a", "b"], ["c", "d"]], "plain lines are not read any more"
found = rows('1,"Lovelace, Ada"\n2,"say ""hello"""\n')
assert found == [["1", "Lovelace, Ada"], ["2", 'say "hello"']], f"quotes are not understood: {found}"
assert rows('1,"two\nlines"\n') == [["1", "two\nlines"]], "a line end inside quotes is not understood"
assert rows("") == [], "an empty text has rows"
