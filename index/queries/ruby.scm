; Modules are classes here: both hold methods and constants under their name.

(method name: (_) @name) @function
(method name: (_) @name body: (_) @body) @function
(singleton_method name: (_) @name) @function
(singleton_method name: (_) @name body: (_) @body) @function

(class name: (_) @name) @class
(class name: (_) @name body: (_) @body) @class
(module name: (_) @name) @class
(module name: (_) @name body: (_) @body) @class

(assignment left: (constant) @name) @constant

(call method: (identifier) @reference)
(constant) @reference
(call receiver: (identifier) @reference)
(identifier) @reference

(call !receiver method: (identifier) arguments: (argument_list (string))) @import.call

[(string) (heredoc_body) (comment)] @text
