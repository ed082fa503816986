; A method belongs to the type of its receiver, its @owner.

(function_declaration name: (identifier) @name body: (_) @body) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: (_) @owner))
  name: (field_identifier) @name
  body: (_) @body) @function
(method_elem name: (field_identifier) @name) @declaration

(type_spec name: (type_identifier) @name) @class
(type_spec name: (type_identifier) @name type: (struct_type (field_declaration_list) @body)) @class
(type_alias name: (type_identifier) @name) @class

(source_file (const_declaration (const_spec name: (identifier) @name) @constant))
(source_file (var_declaration (var_spec name: (identifier) @name) @constant))
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @name) @constant)))

(call_expression function: (identifier) @reference)
(selector_expression field: (field_identifier) @reference)
(type_identifier) @reference
(identifier) @reference.capital

(import_spec path: (interpreted_string_literal (interpreted_string_literal_content) @import))

[(raw_string_literal) (comment)] @text
