; As C, and classes. `Foo::bar` outside its class is named whole.

(function_definition declarator: (function_declarator declarator: (_) @name) body: (_) @body) @function
(function_definition declarator: (_ (function_declarator declarator: (_) @name)) body: (_) @body) @function
(function_definition declarator: (_ (_ (function_declarator declarator: (_) @name))) body: (_) @body) @function
(template_declaration
  (function_definition declarator: (function_declarator declarator: (_) @name) body: (_) @body)) @function
(template_declaration
  (function_definition declarator: (_ (function_declarator declarator: (_) @name)) body: (_) @body)) @function
(function_definition declarator: (function_declarator declarator: (_) @name) (default_method_clause)) @declaration
(function_definition declarator: (function_declarator declarator: (_) @name) (delete_method_clause)) @declaration
(declaration declarator: (function_declarator declarator: (_) @name)) @declaration
(declaration declarator: (_ (function_declarator declarator: (_) @name))) @declaration
(field_declaration declarator: (function_declarator declarator: (_) @name)) @declaration
(field_declaration declarator: (_ (function_declarator declarator: (_) @name))) @declaration
(preproc_function_def name: (identifier) @name) @function

(class_specifier name: (_) @name body: (_) @body) @class
(struct_specifier name: (_) @name body: (_) @body) @class
(union_specifier name: (_) @name body: (_) @body) @class
(enum_specifier name: (_) @name body: (_) @body) @class
(template_declaration (class_specifier name: (_) @name body: (_) @body)) @class
(template_declaration (struct_specifier name: (_) @name body: (_) @body)) @class
(type_definition type: (_) declarator: (type_identifier) @name) @class
(alias_declaration name: (type_identifier) @name) @class
(concept_definition name: (identifier) @name) @class
(namespace_definition name: (_) @name body: (_) @body) @namespace

(preproc_def name: (identifier) @name) @constant
(enumerator name: (identifier) @name) @constant
(translation_unit (declaration declarator: (init_declarator declarator: (identifier) @name)) @constant)
(namespace_definition body: (declaration_list (declaration declarator: (init_declarator declarator: (identifier) @name)) @constant))

(call_expression function: (identifier) @reference)
(call_expression function: (qualified_identifier name: (identifier) @reference))
(template_function name: (identifier) @reference)
(field_expression field: (field_identifier) @reference)
(type_identifier) @reference
(namespace_identifier) @reference
(identifier) @reference.capital

(preproc_include path: (_) @import)

[(raw_string_literal) (comment)] @text
