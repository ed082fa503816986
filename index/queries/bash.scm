; A command's name is a reference: it may be a function.

(function_definition name: (word) @name body: (_) @body) @function

(program (variable_assignment name: (variable_name) @name) @constant)
(program (declaration_command (variable_assignment name: (variable_name) @name)) @constant)

(command name: (command_name (word) @reference))
(variable_name) @reference.capital

(command name: (command_name (word)) argument: (_)) @import.call

[(raw_string) (heredoc_body) (comment)] @text
