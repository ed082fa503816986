; As JavaScript, and types.

(function_declaration name: (identifier) @name body: (_) @body) @function
(generator_function_declaration name: (identifier) @name body: (_) @body) @function
(export_statement
  declaration: [
    (function_declaration name: (identifier) @name body: (_) @body)
    (generator_function_declaration name: (identifier) @name body: (_) @body)
  ]) @function
(function_signature name: (identifier) @name) @declaration
(export_statement declaration: (function_signature name: (identifier) @name)) @declaration
(lexical_declaration
  (variable_declarator name: (identifier) @name value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function
(variable_declaration
  (variable_declarator name: (identifier) @name value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function
(export_statement
  declaration: (lexical_declaration
    (variable_declarator name: (identifier) @name value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]))) @function
(method_definition name: (_) @name body: (_) @body) @function
(method_signature name: (_) @name) @declaration
(abstract_method_signature name: (_) @name) @declaration
(public_field_definition name: (_) @name value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @function
(pair
  key: [(property_identifier) (string)] @name
  value: [(arrow_function body: (statement_block) @body) (function_expression body: (_) @body)]) @function
(expression_statement
  (assignment_expression
    left: (member_expression) @name
    right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function

(class_declaration name: (_) @name body: (_) @body) @class
(abstract_class_declaration name: (_) @name body: (_) @body) @class
(interface_declaration name: (_) @name body: (_) @body) @class
(enum_declaration name: (_) @name body: (_) @body) @class
(type_alias_declaration name: (_) @name) @class
(export_statement
  declaration: [
    (class_declaration name: (_) @name body: (_) @body)
    (abstract_class_declaration name: (_) @name body: (_) @body)
    (interface_declaration name: (_) @name body: (_) @body)
    (enum_declaration name: (_) @name body: (_) @body)
    (type_alias_declaration name: (_) @name)
  ]) @class
(internal_module name: (_) @name body: (_) @body) @namespace
(module name: (_) @name body: (_) @body) @namespace

(program (lexical_declaration (variable_declarator name: (identifier) @name)) @constant)
(program (variable_declaration (variable_declarator name: (identifier) @name)) @constant)
(program (export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name))) @constant)
(class_body (public_field_definition name: (_) @name) @constant)

(call_expression function: (identifier) @reference)
(member_expression property: (property_identifier) @reference)
(new_expression constructor: (identifier) @reference)
(extends_clause value: (identifier) @reference)
(type_identifier) @reference
(decorator (identifier) @reference)
(import_specifier name: (identifier) @reference)
(import_clause (identifier) @reference)
(export_specifier name: (identifier) @reference)
(identifier) @reference.capital

(import_statement source: (string (string_fragment) @import))
(export_statement source: (string (string_fragment) @import))
(import_require_clause source: (string (string_fragment) @import))
(call_expression function: [(identifier) (import)] arguments: (arguments . (string))) @import.call

[(string) (template_string) (comment)] @text
