; The name of a function stands at the bottom of its declarators: `int **f(void)`.

(function_definition declarator: (function_declarator declarator: (identifier) @name) body: (_) @body) @function
(function_definition declarator: (_ (function_declarator declarator: (identifier) @name)) body: (_) @body) @function
(function_definition declarator: (_ (_ (function_declarator declarator: (identifier) @name))) body: (_) @body) @function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @declaration
(declaration declarator: (_ (function_declarator declarator: (identifier) @name))) @declaration
(preproc_function_def name: (identifier) @name) @function

(struct_specifier name: (type_identifier) @name body: (_) @body) @class
(union_specifier name: (type_identifier) @name body: (_) @body) @class
(enum_specifier name: (type_identifier) @name body: (_) @body) @class
(type_definition type: (_) declarator: (type_identifier) @name) @class

(preproc_def name: (identifier) @name) @constant
(enumerator name: (identifier) @name) @constant
(translation_unit (declaration declarator: (init_declarator declarator: (identifier) @name)) @constant)
(translation_unit (declaration declarator: (init_declarator declarator: (_ (identifier) @name))) @constant)

(call_expression function: (identifier) @reference)
(field_expression field: (field_identifier) @reference)
(type_identifier) @reference
(identifier) @reference.capital

(preproc_include path: (_) @import)

(comment) @text
