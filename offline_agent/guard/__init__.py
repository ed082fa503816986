"""The only hands: what the rules decide, what the kernel confines, what can be undone.

tool call -> workspace -> gate -> permissions -> (the person) -> edits or sandbox -> undo

the door       workspace gate askers edits recall
the rules      permissions policy defaults rule_files opencode jsonc wildcard paths denied approvals
a shell line   shell shell_text shell_words shell_globs shell_expand shell_state shell_simple shell_judge shell_commands
               wrappers uses arguments shapes arities variables git_arguments git_files git_runs
the sandbox    sandbox choice canaries probe view protected mechanisms bubblewrap landlock seccomp history
               runner starter launcher keeper limits collected
undo           undo recording reverting turns images beneath differences, and touch notify changes follow, which see what a
               command is about to change
what is read   inspector, redact formats assigned names entropy keyblocks known, suspect disguise
"""
