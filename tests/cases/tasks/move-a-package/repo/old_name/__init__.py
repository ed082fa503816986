from old_name.core import answer
